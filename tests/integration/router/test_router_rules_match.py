"""What nginx answers by compiled rules is what a plain reading of the same rules says, whatever the rules are."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sitewright.domain.identity import new_id
from sitewright.domain.page_patterns import SPLAT, Pattern, check_redirect, parse_pattern, parts_of, together
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.route import ChannelRoute
from sitewright.errors import InvalidValueError
from sitewright.router.rules.compile import compiled

SEGMENTS = st.sampled_from(
    ["a", "b", "c", "ab", "x.css", "x.y.css", ".css", "%20", "%C3%A4", "a+b", "(", "!", "'", "%5C", "%09", "index.html"]
)
PLACES = st.sampled_from([":one", ":two", ":three"])
RESTS = st.sampled_from(["", "", "*", "*.css", "*.html"])
ENCODED = "!'()*"


@st.composite
def patterns(draw) -> str:
    parts = draw(st.lists(st.one_of(SEGMENTS, SEGMENTS, PLACES), max_size=4))
    rest = draw(RESTS)
    return "/" + "/".join([*parts, *([rest] if rest else [])])


@st.composite
def redirects(draw) -> RedirectRule:
    path = draw(patterns())
    pieces = draw(
        st.lists(st.sampled_from(["/to", "/:one", "/:two", "/:splat", "/x-:one", "https://else.test/:splat"]), min_size=1, max_size=3)
    )
    query = draw(st.sampled_from([(), (), (("q", "1"),), (("q", ":three"),)]))
    status = draw(st.sampled_from([301, 302, 307, 308]))
    return RedirectRule(path, "".join(pieces), status, force=True, query=query)


def is_fine(rule: RedirectRule) -> bool:
    try:
        check_redirect(rule)
    except InvalidValueError:
        return False
    return True


def can_be(path: str) -> bool:
    try:
        parse_pattern(path)
    except InvalidValueError:
        return False
    return True


def taken(pattern: Pattern, segments: list[str]) -> dict[str, object] | None:
    """What the path's parts are called, None when it is not met."""
    count = len(pattern.segments)
    if len(segments) < count or (not pattern.rest and len(segments) != count):
        return None
    if any(not one.startswith(":") and one != segments[place] for place, one in enumerate(pattern.segments) if one not in _places(pattern)):
        return None
    rest = segments[count:]
    if pattern.rest not in {"", "*"} and (not rest or not rest[-1].endswith(f".{pattern.rest}")):
        return None
    return {**{name: segments[place] for name, place in pattern.places.items()}, SPLAT: rest}


def _places(pattern: Pattern) -> set[str]:
    return {f":{name}" for name in pattern.places}


def expected(rules: PageRules, path: str, args: str) -> tuple[int, str] | None:
    """Status and target of the first rule that matches."""
    segments = [one for one in unquote(path).split("/") if one]
    given_args = dict(one.partition("=")[::2] for one in args.split("&") if one)
    for rule in rules.redirects:
        found = taken(parse_pattern(rule.path), segments)
        if found is None or any(name not in given_args or (value[0] != ":" and given_args[name] != value) for name, value in rule.query):
            continue
        values = {**found, **{value[1:]: given_args[name] for name, value in rule.query if value[0] == ":"}}
        text = ""
        for number, part in enumerate(parts_of(rule.target)):
            value = values.get(part, "")
            quoted = "/".join(quote(one, safe=ENCODED) for one in value) if isinstance(value, list) else quote(str(value), safe=ENCODED)
            text += part if number % 2 == 0 else quoted
        if text.startswith("/"):
            while "//" in text:
                text = text.replace("//", "/")
        rest = [one for one in args.split("&") if one and one.partition("=")[0] not in dict(rule.query)]
        return rule.status, text + (f"?{'&'.join(rest)}" if rest else "")
    return None


class Asking:
    """One route whose rules change, and one connection."""

    def __init__(self, router) -> None:
        self.router, self.channel, self.host = router, new_id(), "match.example.test"
        self.public = router.public("match", nothing_txt="x")
        self.connection = router.connect()

    def put(self, rules: PageRules) -> None:
        self.router.table.set(ChannelRoute(self.channel, (self.host,), public=self.public, rules=rules))

    def ask(self, path: str) -> http.client.HTTPResponse:
        self.connection.request("GET", path, headers={"Host": self.host})
        response = self.connection.getresponse()
        response.read()
        return response


@pytest.fixture(scope="module")
def asking(router) -> Iterator[Asking]:
    one = Asking(router)
    yield one
    one.connection.close()


@given(
    st.lists(redirects().filter(is_fine), max_size=12),
    st.lists(
        st.tuples(st.lists(SEGMENTS, max_size=5), st.sampled_from(["", "/"]), st.sampled_from(["", "q=1", "q=2&r=3"])),
        min_size=1,
        max_size=8,
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_redirects_are_those_of_a_plain_reading(asking, rules, visits):
    page_rules = PageRules(redirects=tuple(rules))
    asking.put(page_rules)
    for parts, slash, args in visits:
        path = "/" + "/".join(parts) + (slash if parts else "")
        wanted = expected(page_rules, path, args)
        asked = f"{path}?{args}" if args else path
        found = asking.ask(asked)
        if wanted is None or wanted[1] == asked:
            assert found.status in {404, 200}, (asked, page_rules)
        else:
            assert (found.status, found.headers["location"]) == wanted, (asked, page_rules)


@given(
    st.lists(st.tuples(patterns().filter(can_be), st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "2", ""])), max_size=12),
    st.lists(st.lists(SEGMENTS, max_size=5), min_size=1, max_size=6),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_headers_are_those_of_a_plain_reading(asking, rules, visits):
    page_rules = PageRules(
        headers=tuple(HeaderRule(path, ((name, value),)) for path, name, value in rules),
        redirects=(RedirectRule("/*", "/nothing.txt", 200, True),),
    )
    asking.put(page_rules)
    for parts in visits:
        path = "/" + "/".join(parts)
        segments = [one for one in unquote(path).split("/") if one]
        wanted: dict[str, str] = {}
        for rule in page_rules.headers:
            if taken(parse_pattern(rule.path), segments) is not None:
                wanted.update(dict(rule.headers))
        found = asking.ask(path)
        assert found.status == 200, path
        assert {name: found.headers[name] or "" for name in ("X-A", "X-B")} == {name: wanted.get(name, "") for name in ("X-A", "X-B")}, path


@given(st.lists(redirects(), max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_rules_compile_to_a_small_file_that_is_the_same_each_time(rules):
    page_rules = PageRules(redirects=tuple(rules))
    file = compiled(page_rules)
    assert file == compiled(page_rules)
    assert file.startswith(b"SWR1")
    assert len(file) < 200_000


def test_rules_that_would_take_long_are_not_followed_at_all():
    shapes = ("/" + "/".join(f":x{place}" if number >> place & 1 else "a" for place in range(12)) for number in range(1000))
    rules = PageRules(redirects=tuple(RedirectRule(path, "/b") for path in shapes))
    assert together(rules)
    assert compiled(rules) == compiled(PageRules())
