"""Patterns, targets and headers of page rules: what is allowed, and why the rest is not.

Paths are compared decoded, segment by segment, without regard to slashes at the end: `/a` is `/a/`. A pattern's segments are literal or
`:name`; the last may be `*` (all that follows, nothing too) or `*.css` (all that follows, if it ends so).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from sitewright.domain.pages import MOST_RULES, HeaderRule, PageRules, RedirectRule
from sitewright.errors import InvalidValueError

MOST_SEGMENTS = 24
LONGEST_PATTERN = 1000
LONGEST_TARGET = 2000
LONGEST_VALUE = 4000
MOST_HEADERS = 30
"""Of one rule."""
MOST_PARAMETERS = 10
MOST_ARRANGEMENTS = 16
"""Of `:name` among the segments of one site's patterns: a path is met in at most so many ways, whatever the rules are."""
MOST_OF_ONE_PATTERN = 32
MOST_CHARACTERS = 200_000
"""Of all redirects of a site, and of all its headers."""
STATUSES = (200, 301, 302, 303, 307, 308, 404, 410)
ONWARD = (301, 302, 303, 307, 308)
SPLAT = "splat"

_NAME = re.compile(r":[A-Za-z][A-Za-z0-9_]{0,39}")
_ENDING = re.compile(r"\*\.([A-Za-z0-9]{1,20})")
_PLACE = re.compile(r"(?<=[/.=&?_~-]):([A-Za-z][A-Za-z0-9_]{0,39})")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?=[/?#]|$)", re.IGNORECASE)
_VALUE = re.compile(r"[\x20-\x7e\u00a1-\uffff]*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """``segments``: decoded texts, `:name` for whatever is there. ``rest``: "" for nothing, `*` for all that follows, else its ending."""

    segments: tuple[str, ...]
    rest: str = ""

    @property
    def shape(self) -> tuple[str, ...]:
        """The segments without the names of what stands for others: two patterns of one shape match the same paths."""
        return tuple(":" if is_place(one) else one for one in self.segments)

    @property
    def places(self) -> dict[str, int]:
        """Names and the segments that they stand for."""
        return {one[1:]: number for number, one in enumerate(self.segments) if is_place(one)}


def is_place(segment: str) -> bool:
    """Whether a segment of a pattern stands for any."""
    return _NAME.fullmatch(segment) is not None


def parse_pattern(path: str) -> Pattern:
    """A pattern from what its owner wrote. Raises InvalidValueError."""
    if not path.startswith("/") or len(path) > LONGEST_PATTERN:
        raise InvalidValueError(f"“{path[:60]}” is no path.", resolution="A path begins with “/”, as in “/blog/*”.")
    if re.search(r"[\x00-\x20\x7f?#\\]", path):
        raise InvalidValueError(f"“{path[:60]}” has a character that no path has.", resolution="A space is %20; leave out “?” and “#”.")
    segments = [one for one in path.split("/") if one]
    rest = ""
    if segments and segments[-1].startswith("*"):
        ending = _ENDING.fullmatch(segments[-1])
        if segments[-1] != "*" and not ending:
            raise InvalidValueError(f"“{segments[-1][:40]}” is not understood.", resolution="“*” and endings like “*.css” are.")
        rest = ending[1] if ending else "*"
        segments.pop()
    if any("*" in one for one in segments):
        raise InvalidValueError(f"In “{path[:60]}”, “*” is not at the end.", resolution="“/blog/*” is understood, “:name” for one part.")
    if len(segments) > MOST_SEGMENTS:
        raise InvalidValueError(f"“{path[:60]}…” has {len(segments)} parts; {MOST_SEGMENTS} are the most.")
    decoded = tuple(one if is_place(one) else _decoded(one, path) for one in segments)
    places = [one for one in decoded if is_place(one)]
    if len(places) != len(set(places)) or f":{SPLAT}" in places:
        raise InvalidValueError(f"In “{path[:60]}” a name is there twice, or is “splat”.", resolution="Give each part a name of its own.")
    return Pattern(decoded, rest)


def _decoded(segment: str, path: str) -> str:
    text = unquote(segment, errors="strict") if "%" in segment else segment
    if text in {".", ".."} or "/" in text or any(ord(one) < 32 or ord(one) == 127 for one in text) or is_place(text):
        raise InvalidValueError(f"In “{path[:60]}”, “{segment[:40]}” can never be met.", resolution="Write it as the address bar shows it.")
    return text


def parts_of(target: str) -> tuple[str, ...]:
    """A target's literal texts (even places) and names (odd places)."""
    return tuple(_PLACE.split(target))


def check_redirect(rule: RedirectRule) -> Pattern:
    """The rule's pattern. Raises InvalidValueError that says what is allowed."""
    pattern = parse_pattern(rule.path)
    if rule.status not in STATUSES:
        raise InvalidValueError(f"{rule.status} is no status of a redirect.", resolution=f"Allowed: {', '.join(map(str, STATUSES))}.")
    _check_query(rule)
    check_target(rule.target, own=rule.status not in ONWARD)
    known = {*pattern.places, *(value[1:] for _, value in rule.query if value.startswith(":")), *((SPLAT,) if pattern.rest else ())}
    unknown = [name for name in parts_of(rule.target)[1::2] if name not in known]
    if unknown:
        raise InvalidValueError(
            f"The target names “:{unknown[0]}”, which the path does not have.",
            resolution=f"There is: {', '.join(f':{name}' for name in sorted(known)) or 'none'}.",
        )
    return pattern


def check_target(target: str, *, own: bool) -> None:
    """Raise InvalidValueError for what may not be a target. *own*: it has to be within the site."""
    if not target or len(target) > LONGEST_TARGET or not _PRINTABLE.fullmatch(target):
        raise InvalidValueError(f"“{target[:60]}” is no target.", resolution="Spaces and other letters are written as %20 and so on.")
    if target.startswith("/") and not target.startswith("//") and "\\" not in target:
        if "/../" in f"{unquote(target.partition('?')[0])}/":
            raise InvalidValueError(f"“{target[:60]}” leads upwards.", resolution="Write the path that is meant.")
        return
    address = _ADDRESS.match(target)
    if address is None or "\\" in target or _PLACE.search(address[0]):
        raise InvalidValueError(
            f"“{target[:60]}” is no target.",
            resolution="It is a path (“/new”), or a whole address of http or https whose host is written out (“https://example.org/new”).",
        )
    if own:
        raise InvalidValueError(
            f"“{target[:60]}” is not of this site.",
            details="Nothing is fetched from elsewhere in a visitor's name.",
            resolution="Name a path of the site, or use 301, 302, 307 or 308 to send visitors there.",
        )


def _check_query(rule: RedirectRule) -> None:
    if len(rule.query) > MOST_PARAMETERS:
        raise InvalidValueError(f"{len(rule.query)} parameters are too many; {MOST_PARAMETERS} are the most.")
    for name, value in rule.query:
        if not name or not _VALUE.fullmatch(name + value) or len(name + value) > 300:
            raise InvalidValueError(f"“{name[:40]}={value[:40]}” is no parameter.", resolution="Write a name and a value, or “:name”.")
        if value.startswith(":") and not is_place(value):
            raise InvalidValueError(f"“{value[:40]}” is no name.", resolution="Letters, digits and “_”, as in “:id”.")


_HOP = "it belongs to one connection, which is the router's own"
_STEER = "only the platform steers the router"
_KEPT_FROM: dict[str, str] = {
    "connection": _HOP,
    "keep-alive": _HOP,
    "proxy-connection": _HOP,
    "te": _HOP,
    "trailer": _HOP,
    "transfer-encoding": _HOP,
    "upgrade": _HOP,
    "content-length": "the router counts itself",
    "content-encoding": "the router compresses itself",
    "content-range": "it says which part of a file this is",
    "accept-ranges": "it says what the router can do",
    "date": "the router says when it was",
    "server": "the router says who it is",
    "status": "the status is a redirect's",
    "location": "visitors are led on by redirects",
    "etag": "it names the very bytes of a file",
    "last-modified": "it is the file's own time",
    "retry-after": "only what is busy knows it",
    "www-authenticate": "no rule asks for a password",
    "clear-site-data": "it would take cookies of neighbouring sites, too",
    "alt-svc": "it would lead visitors past the router",
    "public-key-pins": "it could lock everybody out",
}
"""Headers that no rule may set, and why. Others begin with what is refused below."""


def check_header(name: str, value: str) -> None:
    """Raise InvalidValueError for a header that a site may not set; "" as a value takes away what an earlier rule set."""
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        raise InvalidValueError(f"“{name[:40]}” is no name of a header.", resolution="Letters, digits, hyphens: “X-Frame-Options”.")
    why = _KEPT_FROM.get(lower, "")
    if lower.startswith(("x-accel-", "x-sendfile", "x-sitewright-", "proxy-", "x-request-id")):
        why = _STEER
    if lower == "strict-transport-security" and re.search(r"includesubdomains|preload", value, re.IGNORECASE):
        why = "“includeSubDomains” and “preload” would hold for addresses that are not this site's; leave them out"
    if lower == "set-cookie" and re.search(r";\s*domain\s*=", value, re.IGNORECASE):
        why = "a cookie's Domain could be the neighbours' too; leave it out"
    if why:
        raise InvalidValueError(f"The header {name} cannot be set here: {why}.", resolution="Remove this header.")
    if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value):
        raise InvalidValueError(
            f"The value of {name} is too long or has control characters.", resolution=f"One line of at most {LONGEST_VALUE} characters."
        )


def check_headers(rule: HeaderRule) -> Pattern:
    """The rule's pattern. Raises InvalidValueError."""
    pattern = parse_pattern(rule.path)
    if len(rule.headers) > MOST_HEADERS:
        raise InvalidValueError(f"“{rule.path[:60]}” sets {len(rule.headers)} headers; {MOST_HEADERS} are the most.")
    for name, value in rule.headers:
        check_header(name, value)
    return pattern


R = TypeVar("R")


def together(rules: PageRules) -> str:
    """Why these rules cannot hold together, "" when they can. Rules that are not allowed by themselves do not count."""
    if max(len(rules.redirects), len(rules.headers)) > MOST_RULES:
        return f"There are more than {MOST_RULES} rules of a kind."
    counts: dict[tuple[tuple[str, ...], str], int] = defaultdict(int)
    arrangements: dict[int, set[tuple[bool, ...]]] = defaultdict(set)
    redirects = list(_allowed(check_redirect, rules.redirects))
    for pattern in (*redirects, *_allowed(check_headers, rules.headers)):
        for depth in range(len(pattern.shape) + 1):
            arrangements[depth].add(tuple(one == ":" for one in pattern.shape[:depth]))
    for pattern in redirects:
        counts[pattern.shape, pattern.rest] += 1
    if any(len(seen) > MOST_ARRANGEMENTS for seen in arrangements.values()):
        return f"“:name” stands in more than {MOST_ARRANGEMENTS} different arrangements."
    if any(count > MOST_OF_ONE_PATTERN for count in counts.values()):
        return f"More than {MOST_OF_ONE_PATTERN} redirects have the same path."
    if max(_characters(rules)) > MOST_CHARACTERS:
        return f"Together the rules are too long: {MOST_CHARACTERS:,} characters of a kind are the most."
    return ""


def _allowed(check: Callable[[R], Pattern], rules: tuple[R, ...]) -> Iterator[Pattern]:
    for rule in rules:
        try:
            yield check(rule)
        except InvalidValueError:
            continue


def _characters(rules: PageRules) -> tuple[int, int]:
    headers = sum(len(name) + len(value) for one in rules.headers for name, value in one.headers)
    return sum(len(one.path) + len(one.target) for one in rules.redirects), headers
