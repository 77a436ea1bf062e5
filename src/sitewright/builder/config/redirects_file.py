"""`_redirects` in the served folder, as Netlify and Cloudflare Pages write it: one rule a line. Pure.

`from [query…] to [status[!]] [conditions]`; `#` begins a comment. What is not understood is told with its line, and left out.
"""

from __future__ import annotations

import re

from sitewright.builder.config.problems import MOST_PROBLEMS, Problem
from sitewright.domain.page_patterns import ONWARD, STATUSES, check_redirect
from sitewright.domain.pages import MOST_RULES, RedirectRule
from sitewright.errors import InvalidValueError

NAME = "_redirects"
LONGEST_LINE = 4000
_QUERY = re.compile(r"[^/:=][^=]*=[^/]*")
_STATUS = re.compile(r"([1-5]\d\d)(!?)")
_CONDITION = re.compile(r"(Country|Language|Role|Cookie)=.*", re.IGNORECASE)
_TARGET = re.compile(r"/|https?://", re.IGNORECASE)


def parse_redirects(text: str, file: str = NAME) -> tuple[tuple[RedirectRule, ...], tuple[Problem, ...]]:
    """The rules in order, and what was left out and why; all of that are warnings."""
    rules: list[RedirectRule] = []
    problems: list[Problem] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        words = _words(raw)
        if not words:
            continue
        try:
            rule = _rule(words, len(raw))
        except InvalidValueError as error:
            message = f"{error.message} {error.details}".strip()
            problems.append(Problem(file, number, f"left out: {message}", error.resolution, warning=True))
            if len(problems) == MOST_PROBLEMS:
                problems.append(Problem(file, number, "nothing below is read: there are too many mistakes.", warning=True))
                break
            continue
        if len(rules) == MOST_RULES:
            problems.append(Problem(file, number, f"left out, and all below: {MOST_RULES} rules are the most.", warning=True))
            break
        rules.append(rule)
    return tuple(rules), tuple(problems)


def _words(line: str) -> list[str]:
    """The words before a comment; `#` within a word belongs to an address."""
    words: list[str] = []
    for word in line.split():
        if word.startswith("#"):
            break
        words.append(word)
    return words


def _rule(words: list[str], length: int) -> RedirectRule:
    if length > LONGEST_LINE:
        raise InvalidValueError(f"the line has more than {LONGEST_LINE} characters.")
    path, *rest = words
    if re.match(r"https?://", path, re.IGNORECASE):
        raise InvalidValueError(
            "rules for one host are not understood.", resolution="Write the path alone; it holds for all addresses of the site."
        )
    query: list[tuple[str, str]] = []
    while rest and not _TARGET.match(rest[0]) and _QUERY.fullmatch(rest[0]):
        name, _, value = rest.pop(0).partition("=")
        query.append((name, value))
    if not rest:
        raise InvalidValueError("there is no target.", resolution="Write “/from /to 301”.")
    target, *options = rest
    status, force = 301, False
    for option in options:
        found = _STATUS.fullmatch(option)
        if found:
            status, force = int(found[1]), bool(found[2])
        elif _CONDITION.fullmatch(option):
            name = option.partition("=")[0]
            raise InvalidValueError(
                f"the condition {name} is not understood.", resolution="Such a rule holds for nobody here; the others hold."
            )
        else:
            raise InvalidValueError(
                f"“{option[:40]}” is not understood.", resolution="After the target a status is understood, as in “301!”."
            )
    if status not in STATUSES:
        raise InvalidValueError(f"the status {status} is not understood.", resolution=f"Allowed: {', '.join(map(str, STATUSES))}.")
    return _checked(RedirectRule(path, target, status, force, tuple(query)))


def _checked(rule: RedirectRule) -> RedirectRule:
    if rule.status not in ONWARD and not rule.target.startswith("/"):
        raise InvalidValueError(
            "nothing is fetched from elsewhere in a visitor's name.", resolution="Use 301 or 302 to send visitors there."
        )
    check_redirect(rule)
    return rule
