"""Page rules: redirects, rewrites, pages for what is missing, headers; for files, for apps and for who sleeps."""

from __future__ import annotations

import pytest

from sitewright.domain.limits import VisitLimits
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.route import Affinity, Presence

from .conftest import answer


def rules(*redirects: RedirectRule, headers: dict[str, dict[str, str]] | None = None, not_found: str = "") -> PageRules:
    found = tuple(HeaderRule(path, tuple(pairs.items())) for path, pairs in (headers or {}).items())
    return PageRules(found, redirects, not_found)


def to(path: str, target: str, status: int = 301, **more) -> RedirectRule:
    return RedirectRule(path, target, status, **more)


@pytest.fixture
def static(router):
    """Route a static site with rules; its name is the host's first label."""

    def make(name: str, page_rules: PageRules, **files: str) -> str:
        host = f"{name}.example.test"
        router.route(host, public=router.public(name, **{"index_html": "front", **files}), rules=page_rules)
        return host

    return make


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_every_method_on_with_its_query(router, static, method, status):
    host = static("leads", rules(to("/old", "/new", status)))
    led = router.request(method, host, "/old?x=1&y=%20", body=b"a=b" if method == "POST" else None)
    assert (led.status, led.headers["location"]) == (status, "/new?x=1&y=%20")
    assert router.get(host, "/").text == "front"
    assert router.get(host, "/other").status == 404


def test_a_file_comes_before_a_redirect_unless_it_is_forced(router, static):
    files = {"here_html": "I am here", "index_html": "front"}
    host = static("files", rules(to("/here.html", "/a"), to("/here", "/b")), **files)
    assert router.get(host, "/here.html").text == "I am here"
    assert router.get(host, "/here").text == "I am here"
    forced = static("forced", rules(to("/here.html", "/a", force=True), to("/", "/start", force=True)), **files)
    assert router.get(forced, "/here.html").headers["location"] == "/a"
    assert router.get(forced, "/").headers["location"] == "/start"


def test_names_and_the_rest_go_into_the_target(router, static):
    host = static(
        "names",
        rules(
            to("/blog/:year/:month/*", "/archive/:month-:year/:splat"),
            to("/shop/*", "https://shop.example.org/:splat", 302),
            to("/everything/*.pdf", "/papers/:splat"),
        ),
    )
    assert router.get(host, "/blog/2024/05/a/b%20c?q=1").headers["location"] == "/archive/05-2024/a/b%20c?q=1"
    assert router.get(host, "/blog/2024/05").headers["location"] == "/archive/05-2024/"
    assert router.get(host, "/shop/a/%C3%A4").headers["location"] == "https://shop.example.org/a/%C3%A4"
    assert router.get(host, "/everything/x/y.pdf").headers["location"] == "/papers/x/y.pdf"
    assert router.get(host, "/everything/x/y.txt").status == 404


def test_the_first_rule_that_matches_counts_and_its_query_has_to_be_there(router, static):
    host = static(
        "query",
        rules(
            to("/find", "/by/:id", query=(("id", ":id"), ("kind", "book"))),
            to("/find", "/all?sorted=1"),
            to("/x/:any", "/first"),
            to("/x/y", "/second"),
        ),
    )
    assert router.get(host, "/find?kind=book&id=a%2Fb&more=1").headers["location"] == "/by/a%2Fb?more=1"
    assert router.get(host, "/find?kind=film&id=7").headers["location"] == "/all?sorted=1"
    assert router.get(host, "/x/y").headers["location"] == "/first"


def test_a_rewrite_shows_another_file_under_the_address(router, static):
    host = static(
        "shows",
        rules(to("/app/*", "/index.html", 200), to("/team/:who", "/people/:who.html", 200), to("/deep/*", "/:splat", 200, force=True)),
        people__alice_html="I am Alice",
        deep__x_txt="deep",
        x_txt="top",
    )
    shown = router.get(host, "/app/settings/7")
    assert (shown.status, shown.text, shown.headers["content-type"]) == (200, "front", "text/html; charset=utf-8")
    assert router.get(host, "/team/alice").text == "I am Alice"
    assert router.get(host, "/team/bob").status == 404
    assert router.get(host, "/deep/x.txt").text == "top"
    assert router.request("HEAD", host, "/app/x").status == 200
    assert router.request("POST", host, "/app/x", body=b"x").status == 405


@pytest.mark.parametrize(
    "path", ["/s/.git/config", "/s/%2egit/config", "/s/x.php", "/s/a/.env", "/s/..%2f..%2fsecret", "/s/%2e%2e%2fsecret"]
)
def test_a_rewrite_leads_to_nothing_that_is_not_served_as_a_file(router, static, path):
    folder = router.public("hidden", x_php="<?php", a__x="x")
    for name in (".git/config", ".env", "a/.env"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    (folder.parent / "secret").write_text("secret")
    host = static("hidden", rules(to("/s/*", "/:splat", 200, force=True)))
    found = router.get(host, path)
    assert found.status in {400, 404}
    assert "secret" not in found.text


def test_pages_of_404_and_410(router, static):
    host = static(
        "gone",
        rules(
            to("/gone/*", "/gone.html", 410),
            to("/hide/*", "/own.html", 404, force=True),
            to("/none", "/nothing.html", 404),
            not_found="errors/lost.html",
        ),
        gone_html="gone for ever",
        own_html="not for you",
        hide__secret_txt="hidden",
        errors__lost_html="lost",
    )
    for path, status, text in (
        ("/gone/a", 410, "gone for ever"),
        ("/hide/secret.txt", 404, "not for you"),
        ("/none", 404, "lost"),
        ("/elsewhere", 404, "lost"),
    ):
        found = router.get(host, path)
        assert (found.status, found.text) == (status, text), path


def test_files_get_the_headers_of_all_rules_that_match(router, static):
    host = static(
        "heads",
        rules(
            headers={
                "/*": {"X-Frame-Options": "DENY", "X-Who": "all", "X-Gone": "here"},
                "/a/*": {"X-Who": "a", "X-Gone": ""},
                "/*.css": {"Cache-Control": "public, max-age=31536000, immutable", "Content-Type": "text/x-own"},
            }
        ),
        a__site_css="a{}",
        a__page_html="page",
    )
    front = router.get(host, "/")
    assert (front.headers["x-frame-options"], front.headers["x-who"], front.headers["cache-control"]) == ("DENY", "all", "no-cache")
    style = router.get(host, "/a/site.css")
    assert (style.headers["x-who"], style.headers["x-gone"]) == ("a", None)
    assert style.headers.get_all("cache-control") == ["public, max-age=31536000, immutable"]
    assert style.headers.get_all("content-type") == ["text/x-own"]
    assert router.get(host, "/a/page").headers["x-who"] == "a"
    lost = router.get(host, "/none")
    assert lost.status == 404
    same = router.get(host, "/a/site.css", If_None_Match=style.headers["etag"])
    assert (same.status, same.headers["x-who"]) == (304, "a")


def test_a_sites_own_404_and_fallback_get_headers_too(router, static):
    page_rules = rules(headers={"/*": {"X-Own": "yes"}})
    host = static("own", page_rules, **{"404_html": "not here"})
    assert (router.get(host, "/x").status, router.get(host, "/x").headers["x-own"]) == (404, "yes")
    router.route("spa.example.test", public=router.public("spa", index_html="app"), fallback="index.html", rules=page_rules)
    shown = router.get("spa.example.test", "/deep/link")
    assert (shown.status, shown.text, shown.headers["x-own"]) == (200, "app", "yes")


def test_an_app_is_reached_at_another_of_its_paths(router):
    app = router.app(lambda handler, body: answer(handler, f"{handler.command} {handler.path} {body.decode()}".encode()))
    router.route("app.example.test", sockets=(app.socket,), rules=rules(to("/api/*", "/v2/:splat", 200), to("/old", "/new")))
    assert router.get("app.example.test", "/api/a%20b?x=1").text == "GET /v2/a%20b?x=1 "
    assert router.request("POST", "app.example.test", "/api/form", body=b"hello").text == "POST /v2/form hello"
    assert router.request("POST", "app.example.test", "/old", body=b"hello").headers["location"] == "/new"
    assert router.get("app.example.test", "/other?y").text == "GET /other?y "
    assert router.get("app.example.test", "/.env").text == "GET /.env "


def test_an_apps_answers_get_headers_but_keep_their_own_cache_control(router):
    app = router.app(
        lambda handler, _: answer(
            handler,
            headers={"X-Frame-Options": "ALLOW", "Set-Cookie": "a=1", **({"Cache-Control": "private"} if handler.path == "/own" else {})},
        )
    )
    own = {"X-Frame-Options": "DENY", "Set-Cookie": "b=2; Path=/", "Cache-Control": "max-age=60"}
    router.route("dressed.example.test", sockets=(app.socket,), rules=rules(headers={"/*": own}))
    found = router.get("dressed.example.test", "/own")
    assert found.headers.get_all("x-frame-options") == ["DENY"]
    assert found.headers.get_all("set-cookie") == ["a=1", "b=2; Path=/"]
    assert found.headers.get_all("cache-control") == ["private"]
    assert router.get("dressed.example.test", "/else").headers.get_all("cache-control") == ["max-age=60"]


def test_an_app_with_files_of_its_own(router):
    app = router.app(lambda handler, _: answer(handler, f"app {handler.path}".encode()))
    files = router.public("both", style_css="a{}", page_html="page", kept_txt="kept")
    both = rules(
        to("/kept.txt", "/gone"),
        to("/moved", "/there"),
        to("/show", "/page.html", 200),
        to("/run", "/start", 200),
        to("/no", "/page.html", 410),
    )
    router.route("both.example.test", sockets=(app.socket,), public=files, rules=both)
    for path, expected in (
        ("/style.css", (200, "a{}")),
        ("/kept.txt", (200, "kept")),
        ("/show", (200, "page")),
        ("/run?x", (200, "app /start?x")),
        ("/else", (200, "app /else")),
        ("/no", (410, "page")),
    ):
        found = router.get("both.example.test", path)
        assert (found.status, found.text) == expected, path
    assert router.get("both.example.test", "/moved").headers["location"] == "/there"


def test_a_redirect_wakes_nobody(router):
    page_rules = rules(to("/old", "/new"), to("/show", "/page.html", 200))
    router.route("asleep.example.test", public=router.public("asleep", page_html="page"), presence=Presence.ASLEEP, rules=page_rules)
    assert router.get("asleep.example.test", "/old").headers["location"] == "/new"
    assert router.get("asleep.example.test", "/page.html").text == "page"
    assert router.get("asleep.example.test", "/show").text == "page"
    assert router.get("asleep.example.test", "/wake-me").status == 503


def test_rules_go_together_with_affinity_and_limits(router):
    app = router.app()
    router.route(
        "strict.example.test",
        sockets=(app.socket,),
        affinity=Affinity.COOKIE,
        visits=VisitLimits(body_mb=1, requests_per_second=1),
        rules=rules(to("/old", "/new"), headers={"/*": {"X-Own": "yes"}}),
    )
    first = router.get("strict.example.test")
    assert first.headers["x-own"] == "yes"
    assert "sw_slot=" in first.headers["set-cookie"]
    assert router.get("strict.example.test", "/old").status == 301
    statuses = {router.get("strict.example.test").status for _ in range(8)}
    assert 429 in statuses
    assert router.request("POST", "strict.example.test", "/", body=b"x" * 1_100_000).status in {413, 429}


def test_nobody_is_led_elsewhere_by_what_he_asks_for(router, static):
    host = static("led", rules(to("/go/*", "/:splat"), to("/a/:x", "/:x/y")))
    for path in (
        "/go//evil.test",
        "/go/%2fevil.test",
        "/go/%5cevil.test",
        "/go/",
        "/go/%0d%0aX:%20y",
        "/a/%5c",
        "/go/https:%2f%2fevil.test",
    ):
        location = router.get(host, path).headers["location"] or ""
        assert location.startswith("/"), path
        assert not location.startswith(("//", "/\\")), path
        assert "\r" not in location, path


def test_a_rule_that_leads_to_where_the_visitor_is_does_nothing(router, static):
    host = static("same", rules(to("/about", "/about/")), about__index_html="about")
    assert router.get(host, "/about").headers["location"] == "/about/"
    assert router.get(host, "/about/").text == "about"


def test_without_instances_the_state_is_shown_whatever_the_rules_say(router):
    page_rules = rules(to("/old", "/new"))
    router.route("off.example.test", presence=Presence.STOPPED, rules=page_rules)
    assert router.get("off.example.test", "/old", Accept="text/html").status == 503
    router.route("soon.example.test", presence=Presence.STARTING, rules=page_rules)
    assert router.get("soon.example.test", "/old").status == 503


def test_a_change_of_rules_is_one_rename(router):
    app = router.app()
    channel = router.route("change.example.test", sockets=(app.socket,), rules=rules(to("/old", "/one")))
    assert router.get("change.example.test", "/old").headers["location"] == "/one"
    router.route("change.example.test", channel=channel, sockets=(app.socket,), rules=rules(to("/old", "/two")))
    assert router.get("change.example.test", "/old").headers["location"] == "/two"
    router.route("change.example.test", channel=channel, sockets=(app.socket,))
    assert router.get("change.example.test", "/old").text == str(app.socket)


def test_a_broken_rules_file_is_as_if_there_were_none(router, static):
    host = static("broken", rules(to("/old", "/new"), headers={"/*": {"X-Own": "yes"}}))
    path = router.settings.paths.routes / host / "rules"
    whole = path.read_bytes()
    for cut in (b"", b"junk", whole[:20], whole[: len(whole) // 2], whole.replace(b"|", b"x"), b"\xff" * 200):
        path.write_bytes(cut)
        assert router.get(host, "/").text == "front"
        assert router.get(host, "/old").status in {301, 404}


def test_a_thousand_rules_are_as_quick_as_one(router, static):
    host = static("many", rules(*(to(f"/old/{number}", f"/new/{number}") for number in range(999)), to("/rest/*", "/:splat")))
    for number in (0, 500, 998):
        assert router.get(host, f"/old/{number}").headers["location"] == f"/new/{number}"
    assert router.get(host, "/rest/x").headers["location"] == "/x"
    assert router.get(host, "/old/1000").status == 404


def test_more_headers_than_an_answer_can_hold_are_cut_not_broken(router, static):
    own = {f"/{'*' if place == 0 else 'a/*'}": {f"X-{place}-{number}": "v" * 1000 for number in range(10)} for place in range(2)}
    host = static("wide", rules(headers=own), a__x_html="x")
    found = router.get(host, "/a/x.html")
    assert found.status == 200
    there = [name for name in found.headers if name.startswith(("X-0", "X-1"))]
    assert 8 <= len(there) <= 12
    assert all(found.headers[name] == "v" * 1000 for name in there)


def test_a_folder_that_its_site_could_replace_is_opened_with_care(router):
    page_rules = rules(to("/old", "/new"), headers={"/*": {"X-Own": "yes"}})
    public = router.public("mine", index_html="mine", page_html="page")
    (public / "own.txt").symlink_to("page.html")
    for changeable in (False, True):
        host = f"care{changeable}.example.test".lower()
        router.route(host, public=public, changeable=changeable, rules=page_rules)
        assert (router.get(host).text, router.get(host, "/page").text, router.get(host).headers["x-own"]) == ("mine", "page", "yes")
        assert router.get(host, "/own.txt").text == "page"
        assert router.get(host, "/old").headers["location"] == "/new"
