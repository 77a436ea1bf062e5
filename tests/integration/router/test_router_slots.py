"""Which instance a request goes to, and what happens when that one does not answer."""

from __future__ import annotations

import json
import socket
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.route import Affinity
from sitewright.router.follow import TrafficFollower

from .conftest import Router, answer, eventually
from .gate import Gate

PAGE = {"Accept": "text/html"}


def hang_up(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def begin_and_hang_up(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
    handler.wfile.write(b"HTT")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def sixteen(*sockets: Path) -> tuple[Path, ...]:
    return tuple(sockets[slot % len(sockets)] for slot in range(16))


def last_line(router: Router, host: str, count: int = 1) -> dict:
    """The log's last line of a host, once there are *count*."""

    def lines() -> list[dict]:
        return [json.loads(line) for line in router.log("access.log").splitlines() if f'"{host}"' in line]

    eventually(lambda: len(lines()) >= count, "the line is written")
    return lines()[-1]


def test_slots_are_weights(router):
    apps = [router.app(), router.app()]
    router.route("weights.example.test", sockets=(*[apps[0].socket] * 14, *[apps[1].socket] * 2))
    seen = Counter(router.get("weights.example.test").text for _ in range(400))
    assert 20 <= seen[str(apps[1].socket)] <= 90


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.ADDRESS])
def test_what_may_be_done_twice_is_asked_of_another_instance_when_one_hangs_up(router, method, affinity):
    good, bad = router.app(), router.app(hang_up)
    host = f"twice-{method}-{affinity}.example.test".lower()
    router.route(host, sockets=sixteen(good.socket, bad.socket), affinity=affinity)
    body = b"p" * 5000 if method == "PUT" else None
    for _ in range(20):
        assert router.request(method, host, body=body).status == 200
        if bad.requests:
            break
    else:
        assert affinity is Affinity.ADDRESS
    assert all(seen[3] == (body or b"") for seen in good.requests)
    if bad.requests:
        assert bad.requests[-1][2]["x-request-id"] == good.requests[-1][2]["x-request-id"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_not_be_done_twice_is_not(router, method):
    bad = [router.app(hang_up), router.app(hang_up)]
    host = f"once-{method}.example.test".lower()
    router.route(host, sockets=sixteen(*[app.socket for app in bad]))
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        assert router.request(method, host, headers=PAGE, body=b"pay").status == 502
    assert sum(len(app.requests) for app in bad) == 1
    assert not gate.asked


def test_after_a_byte_of_the_answer_nothing_is_sent_twice(router):
    bad = [router.app(begin_and_hang_up), router.app(begin_and_hang_up)]
    router.route("byte.example.test", sockets=sixteen(*[app.socket for app in bad]))
    assert router.get("byte.example.test", Accept="text/html").status == 502
    assert sum(len(app.requests) for app in bad) == 1


def test_two_tries_are_all(router):
    bad = [router.app(hang_up) for _ in range(3)]
    router.route("tries.example.test", sockets=sixteen(*[app.socket for app in bad]))
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        assert router.get("tries.example.test", Accept="text/html").status == 502
    assert sum(len(app.requests) for app in bad) == 2
    assert not gate.asked


def test_the_log_says_which_slots_were_tried_and_the_node_counts_them(router):
    follower = TrafficFollower(router.settings.paths)
    follower.start()
    gone = router.app()
    gone.stop()
    good = router.app()
    router.route("tried.example.test", sockets=sixteen(gone.socket, good.socket))
    for number in range(20):
        assert router.request("POST", "tried.example.test", body=b"x").status == 200
        line = last_line(router, "tried.example.test", number + 1)
        if " : " in line["upstream"]:
            break
    first, second = line["upstream"].split(" : ")
    slot = int(first.rsplit("/", 1)[1])
    assert second.endswith(f"/a{slot}")
    assert line["connects"].startswith("- : ")
    assert line["upstream_status"] == "502 : 200"
    while follower.step():
        pass
    traffic = next(host for host in follower.take() if host.host == "tried.example.test")
    follower.close()
    assert traffic.requests == number + 1
    assert [one.slot for one in traffic.slots if one.refused] == [slot]
    other = int((router.settings.paths.routes / "tried.example.test" / f"a{slot}").readlink().name)
    assert next(one for one in traffic.slots if one.slot == other).requests >= 1
    assert traffic.errors == 0


def three(router: Router, host: str, affinity: Affinity, count: int = 3) -> list[str]:
    apps = [router.app() for _ in range(count)]
    router.route(host, sockets=sixteen(*[app.socket for app in apps]), affinity=affinity)
    return [str(app.socket) for app in apps]


def test_all_visitors_of_a_host_reach_one_instance(router):
    three(router, "byhost.example.test", Affinity.HOST)
    assert len({router.get("byhost.example.test", Cookie=f"a={number}").text for number in range(20)}) == 1


def test_one_address_reaches_one_instance(router):
    three(router, "byaddress.example.test", Affinity.ADDRESS)
    assert len({router.get("byaddress.example.test").text for _ in range(20)}) == 1


def test_a_browser_gets_a_cookie_once_and_stays(router):
    sockets = three(router, "bycookie.example.test", Affinity.COOKIE)
    reached = set()
    for _ in range(20):
        first = router.get("bycookie.example.test")
        cookie, _, attributes = first.headers["set-cookie"].partition("; ")
        assert attributes == "Path=/; HttpOnly; SameSite=Lax"
        assert len(cookie) == len("sw_slot=") + 32
        again = router.get("bycookie.example.test", Cookie=f"theme=dark; {cookie}; x=1")
        assert again.headers["set-cookie"] is None
        assert again.text == first.text
        reached.add(first.text)
    assert reached == set(sockets)


@pytest.mark.parametrize("cookie", ["sw_slot=", "sw_slot=5", "sw_slot=../../etc", f"sw_slot={'z' * 32}", f"xsw_slot={'0' * 32}"])
def test_a_cookie_that_is_not_ours_is_replaced(router, cookie):
    three(router, "badcookie.example.test", Affinity.COOKIE)
    got = router.get("badcookie.example.test", Cookie=cookie)
    assert got.headers["set-cookie"].startswith("sw_slot=")


def test_an_apps_own_cookies_stay_beside_it(router):
    app = router.app(lambda handler, _body: answer(handler, headers={"Set-Cookie": "sw_slot=0; Domain=example.test"}))
    router.route("own.example.test", sockets=(app.socket,), affinity=Affinity.COOKIE)
    cookies = router.get("own.example.test").headers.get_all("set-cookie")
    assert cookies is not None
    assert cookies[0].lower() == "sw_slot=0; domain=own.example.test", "not for its neighbours"
    assert len(cookies) == 2


def test_no_cookie_where_nobody_asked_for_one_and_none_with_the_platforms_pages(router):
    three(router, "plain.example.test", Affinity.NONE)
    three(router, "host-only.example.test", Affinity.HOST)
    for host in ("plain.example.test", "host-only.example.test"):
        assert router.get(host).headers["set-cookie"] is None
    gone = router.app()
    gone.stop()
    router.route("gone.example.test", sockets=(gone.socket,), affinity=Affinity.COOKIE)
    assert router.get("gone.example.test").headers["set-cookie"] is None


def test_few_keys_move_when_slots_do(router):
    apps = [router.app() for _ in range(4)]
    channel = new_id()
    before = sixteen(*[app.socket for app in apps[:3]])
    router.route("moving.example.test", channel=channel, sockets=before, affinity=Affinity.COOKIE)
    cookies = [f"sw_slot={number:032x}" for number in range(0, 48 * 7919, 7919)]
    first = [router.get("moving.example.test", Cookie=cookie).text for cookie in cookies]
    after = tuple(apps[3].socket if slot in {0, 5, 10, 15} else socket for slot, socket in enumerate(before))
    router.route("moving.example.test", channel=channel, sockets=after, affinity=Affinity.COOKIE)
    second = [router.get("moving.example.test", Cookie=cookie).text for cookie in cookies]
    moved = [new for old, new in zip(first, second, strict=True) if old != new]
    assert set(moved) == {str(apps[3].socket)}
    assert len(moved) < len(cookies) / 2


def test_a_visitor_who_stays_is_sent_to_another_instance_when_his_has_died(router):
    apps = [router.app(), router.app()]
    router.route("left.example.test", sockets=sixteen(*[app.socket for app in apps]), affinity=Affinity.COOKIE)
    first = router.get("left.example.test")
    cookie = first.headers["set-cookie"].partition(";")[0]
    next(app for app in apps if str(app.socket) == first.text).stop()
    again = router.request("POST", "left.example.test", headers={"Cookie": cookie}, body=b"x" * 100_000)
    assert again.status == 200
    assert again.text != first.text


def test_files_come_first_for_a_channel_with_affinity_too_and_hidden_ones_never(router):
    app = router.app()
    public = router.public("kept", style_css="b{}", x_php="source")
    (public / ".env").write_text("secret")
    router.route("kept.example.test", sockets=(app.socket,), public=public, affinity=Affinity.COOKIE)
    assert router.get("kept.example.test", "/style.css").text == "b{}"
    for method, path in (("GET", "/.env"), ("GET", "/x.php"), ("POST", "/style.css"), ("GET", "/other")):
        assert router.request(method, "kept.example.test", path).text == str(app.socket), path
