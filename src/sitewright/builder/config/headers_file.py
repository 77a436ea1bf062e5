"""`_headers` in the served folder, as Netlify and Cloudflare Pages write it: a path, and below it indented `Name: value` lines. Pure.

`! Name` takes a header away that an earlier path set. What is not understood is told with its line, and left out.
"""

from __future__ import annotations

from sitewright.builder.config.problems import MOST_PROBLEMS, Problem
from sitewright.domain.page_patterns import MOST_HEADERS, check_header, parse_pattern
from sitewright.domain.pages import MOST_RULES, HeaderRule
from sitewright.errors import InvalidValueError

NAME = "_headers"


def parse_headers(text: str, file: str = NAME) -> tuple[tuple[HeaderRule, ...], tuple[Problem, ...]]:
    """The rules in order, and what was left out and why; all of that are warnings."""
    rules: list[tuple[str, dict[str, tuple[str, str]]]] = []
    problems: list[Problem] = []
    skipping = False

    def tell(number: int, error: InvalidValueError) -> None:
        problems.append(Problem(file, number, f"left out: {f'{error.message} {error.details}'.strip()}", error.resolution, warning=True))

    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if not raw[0].isspace():
                skipping = True
                rules.append((_path(line), {}))
                skipping = False
            elif not rules and not skipping:
                raise InvalidValueError("a header stands before the first path.", resolution="Write the path above it, not indented.")
            elif not skipping:
                _add(rules[-1][1], line)
        except InvalidValueError as error:
            tell(number, error)
        if len(problems) == MOST_PROBLEMS:
            problems.append(Problem(file, number, "nothing below is read: there are too many mistakes.", warning=True))
            break
        if len(rules) > MOST_RULES:
            rules.pop()
            problems.append(Problem(file, number, f"left out, and all below: {MOST_RULES} paths are the most.", warning=True))
            break
    return tuple(HeaderRule(path, tuple(pairs.values())) for path, pairs in rules if pairs), tuple(problems)


def _path(line: str) -> str:
    if line.lower().startswith(("http://", "https://")):
        raise InvalidValueError(
            "rules for one host are not understood.", resolution="Write the path alone; it holds for all addresses of the site."
        )
    parse_pattern(line)
    return line


def _add(pairs: dict[str, tuple[str, str]], line: str) -> None:
    """One more header of the path; a name that is there already gets both values, as HTTP joins them."""
    if line.startswith("!"):
        name, value = line[1:].strip(), ""
    else:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value:
            raise InvalidValueError(f"“{line[:60]}” is no header.", resolution="Write it like “X-Frame-Options: DENY”.")
    if name.lower() == "basic-auth":
        raise InvalidValueError("passwords for pages are not understood here.", resolution="The site's pages are open to everybody.")
    check_header(name, value)
    there = pairs.get(name.lower())
    if there and value and there[1] and name.lower() != "set-cookie":
        value = f"{there[1]}, {value}"
        check_header(name, value)
    if len(pairs) == MOST_HEADERS and there is None:
        raise InvalidValueError(f"a path has at most {MOST_HEADERS} headers.")
    pairs[name.lower()] = (name, value)
