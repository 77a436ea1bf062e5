"""Page rules of sites that sleep, have just gone, or keep their visitors: nobody is woken for nothing, and nothing is lost."""

from __future__ import annotations

import threading

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.route import Affinity, Presence

from .conftest import answer, eventually
from .gate import Gate

RULES = PageRules(
    (HeaderRule("/*", (("X-Own", "yes"),)),),
    (
        RedirectRule("/old/*", "/new/:splat"),
        RedirectRule("/api/*", "/v2/:splat", 200),
        RedirectRule("/shown", "/page.html", 200),
        RedirectRule("/gone", "/page.html", 410),
    ),
)


@pytest.fixture
def sleeper(router):
    """A site with files, an app and rules that sleeps until it is asked for; (host, app, gate)."""
    app = router.app(lambda handler, body: answer(handler, f"{handler.command} {handler.path} ".encode() + body[:20]))
    host, channel = f"{new_id()[:12]}.example.test", new_id()
    public = router.public("sleeper", page_html="page")
    router.route(host, channel=channel, presence=Presence.ASLEEP, public=public, rules=RULES)

    def wake(_host: str, _patience: str) -> int:
        router.route(host, channel=channel, sockets=(app.socket,), public=public, rules=RULES)
        return 204

    with Gate(router.settings.paths.wake_socket, wake) as gate:
        yield host, app, gate


def test_what_the_rules_answer_wakes_nobody(router, sleeper):
    host, app, gate = sleeper
    assert router.request("POST", host, "/old/a", body=b"x" * 100).headers["location"] == "/new/a"
    assert (router.get(host, "/shown").text, router.get(host, "/page.html").headers["x-own"]) == ("page", "yes")
    assert router.get(host, "/gone").status == 410
    assert gate.asked == []
    assert app.requests == []


@pytest.mark.parametrize("body", [None, b"hello", b"x" * 900_000])
def test_what_they_rewrite_wakes_the_app_and_arrives_whole(router, sleeper, body):
    host, app, gate = sleeper
    method = "GET" if body is None else "POST"
    found = router.request(method, host, "/api/thing?x=1", body=body)
    assert (found.status, found.headers["x-own"]) == (200, "yes")
    assert [(seen[0], seen[1], seen[3]) for seen in app.requests] == [(method, "/v2/thing?x=1", body or b"")]
    assert len(gate.asked) == 1
    assert router.get(host, "/else").text == "GET /else "
    assert len(gate.asked) == 1


@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.COOKIE])
@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("path", ["/api/x", "/x", "/.env"])
def test_who_has_just_gone_is_woken_and_asked_for_what_the_rule_says(router, affinity, instances, path):
    app = router.app(lambda handler, _: answer(handler, handler.path.encode()))
    gone = []
    for _ in range(instances):
        dead = router.app()
        dead.stop()
        gone.append(dead.socket)
    host, public = f"{new_id()[:12]}.example.test", router.public("gone2", page_html="page")
    channel = router.route(host, sockets=tuple(gone), affinity=affinity, public=public, rules=RULES)

    def wake(_host: str, _patience: str) -> int:
        router.route(host, channel=channel, sockets=(app.socket,), affinity=affinity, public=public, rules=RULES)
        return 204

    with Gate(router.settings.paths.wake_socket, wake) as gate:
        found = router.get(host, path)
    assert (found.status, found.text) == (200, path.replace("/api/", "/v2/"))
    assert found.headers["x-own"] == "yes"
    assert len(gate.asked) == 1


@pytest.mark.parametrize("path", ["/none", "/api/x", "/shown-not"])
def test_the_longest_way_ends_with_a_page_not_with_an_error(router, path):
    public = router.public("longest", page_html="page")
    host = "longest.example.test"
    router.route(host, presence=Presence.ASLEEP, public=public, affinity=Affinity.COOKIE, rules=RULES)
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204):
        found = router.request("GET", host, path, headers={"Accept": "text/html"})
    assert (found.status, "waking up" in found.text) == (503, True)
    assert found.headers["x-own"] is None


def test_a_page_for_what_is_missing_that_is_missing_itself(router):
    rules = PageRules(redirects=(RedirectRule("/a", "/none.html", 410), RedirectRule("/b", "/none.html", 200)), not_found="none.html")
    router.route("missing.example.test", public=router.public("missing", index_html="x"), rules=rules)
    for path in ("/a", "/b", "/c"):
        found = router.get("missing.example.test", path, Accept="text/html")
        assert (found.status, "does not exist" in found.text) == (404, True)


def test_shares_of_instances_and_streams_keep_their_rules(router):
    def drain(handler, body: bytes) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        rest = handler.rfile.read(length - len(body))
        answer(handler, f"{handler.server.server_address} {len(body) + len(rest)}".encode())

    one, two = router.app(drain), router.app(drain)
    router.route("shares.example.test", sockets=(one.socket,) * 14 + (two.socket,) * 2, rules=RULES)
    seen = {router.get("shares.example.test").text for _ in range(80)}
    assert seen == {f"{one.socket} 0", f"{two.socket} 0"}
    found = router.request("PUT", "shares.example.test", "/api/long", body=b"x" * 3_000_000)
    assert (found.status, found.headers["x-own"], found.text.endswith(" 3000000")) == (200, "yes", True)
    assert {path for app in (one, two) for _, path, *_ in app.requests} == {"/", "/v2/long"}


@pytest.mark.parametrize("kind", ["files", "app", "both", "one kept"])
def test_no_request_fails_while_rules_come_and_go(router, kind):
    app = router.app(lambda handler, _: answer(handler, b"page"))
    public = router.public("turns", page_html="page")
    host, channel = f"turns-{kind.replace(' ', '')}.example.test", new_id()
    route = {
        "files": {"public": public},
        "app": {"sockets": (app.socket,)},
        "both": {"sockets": (app.socket,), "public": public},
        "one kept": {"sockets": (app.socket,), "public": public, "affinity": Affinity.HOST},
    }[kind]
    others = PageRules(RULES.headers)
    router.route(host, channel=channel, **route)
    stop, answers = threading.Event(), []

    def visit() -> None:
        while not stop.is_set():
            found = [router.get(host, path) for path in ("/page.html", "/old/x")]
            answers.append((found[0].status, found[0].text, found[1].status in {200, 301, 404}))

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for turn in range(120):
        seen = len(answers)
        router.route(host, channel=channel, rules=(RULES, PageRules(), others)[turn % 3], **route)
        eventually(lambda seen=seen: len(answers) > seen, "a visitor is answered")
    stop.set()
    for visitor in visitors:
        visitor.join()
    assert set(answers) == {(200, "page", True)}
