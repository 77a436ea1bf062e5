"""PHP sites: a real php-fpm behind the routing table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.limits import VisitLimits
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.route import Affinity, Presence
from sitewright.router.follow import TrafficFollower

from .conftest import eventually
from .gate import Gate

INDEX = """<?php
header('Set-Cookie: id=1; domain=example.test');
header('X-Accel-Redirect: /../stopped.html');
echo json_encode(['uri' => $_SERVER['REQUEST_URI'], 'script' => $_SERVER['SCRIPT_NAME'], 'file' => $_SERVER['SCRIPT_FILENAME'],
  'path' => $_SERVER['PATH_INFO'] ?? '', 'query' => $_GET, 'post' => $_POST, 'address' => $_SERVER['REMOTE_ADDR'],
  'host' => $_SERVER['HTTP_HOST'], 'proxy' => $_SERVER['HTTP_PROXY'] ?? '', 'body' => strlen(file_get_contents('php://input'))]);
"""


def find_fpm() -> str:
    """The distribution's php-fpm."""
    found = sorted(Path("/usr/sbin").glob("php-fpm[0-9]*")) or [Path(path) for path in [shutil.which("php-fpm")] if path]
    assert found, "php-fpm is missing; install it: apt-get install -y php-fpm"
    return str(found[-1])


@pytest.fixture(scope="module")
def php(router):
    """A site in PHP; its files are seen by php-fpm under another path than by nginx, as in a sandbox."""
    folder = router.public("php", style_css="c{}", admin__index_php=INDEX, page_php=INDEX, plain__read_txt="text")
    (folder / "index.php").write_text(INDEX)
    inside = router.folder / "inside"
    inside.symlink_to(folder)
    socket = router.settings.paths.run / "i" / "fpm.s"
    socket.parent.mkdir(exist_ok=True)
    config = router.folder / "fpm.conf"
    account = "user = www-data\ngroup = www-data\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"[global]\nerror_log = {router.folder}/fpm.log\ndaemonize = no\n[www]\n{account}listen = {socket}\nlisten.mode = 0666\n"
        "pm = static\npm.max_children = 2\n"
    )
    process = subprocess.Popen([find_fpm(), "--nodaemonize", "--fpm-config", str(config)], stdin=subprocess.DEVNULL)
    try:
        eventually(socket.exists, "php-fpm listens")
        router.route("php.example.test", public=folder, sockets=(socket,), fastcgi_root=str(inside))
        yield inside
    finally:
        process.terminate()
        process.wait()


def ask(router, path: str, **more) -> dict:
    got = router.request(more.pop("method", "GET"), "php.example.test", path, **more)
    assert got.status == 200, got.text
    assert got.headers["set-cookie"] == "id=1; domain=php.example.test"
    assert "x-accel-redirect" not in got.headers
    return json.loads(got.body)


def test_page_rules_hold_for_scripts_and_files(router, php):
    route = {"public": router.folder / "sites" / "php", "sockets": (router.settings.paths.run / "i" / "fpm.s",), "fastcgi_root": str(php)}
    rules = PageRules(
        (HeaderRule("/*", (("X-Own", "yes"),)),),
        (
            RedirectRule("/old.php", "/new?a=1"),
            RedirectRule("/nice/:id", "/page.php?id=:id", 200),
            RedirectRule("/read", "/plain/read.txt", 200),
        ),
    )
    router.route("ruled.php.example.test", rules=rules, **route)
    assert router.get("ruled.php.example.test", "/old.php").headers["location"] == "/new?a=1"
    shown = router.get("ruled.php.example.test", "/nice/7?more=1")
    assert (shown.headers["x-own"], json.loads(shown.body)["script"], json.loads(shown.body)["query"]) == ("yes", "/page.php", {"id": "7"})
    assert router.get("ruled.php.example.test", "/read").text == "text"
    assert router.get("ruled.php.example.test", "/style.css").headers["x-own"] == "yes"
    for path in ("/page.php", "/admin/", "/anything"):
        assert json.loads(router.get("ruled.php.example.test", path).body)["host"] == "ruled.php.example.test"


def test_a_script_is_run_with_its_path_as_the_sandbox_sees_it(router, php):
    seen = ask(router, "/page.php?a=1")
    assert (seen["script"], seen["file"], seen["query"]) == ("/page.php", f"{php}/page.php", {"a": "1"})
    assert (seen["address"], seen["host"]) == ("127.0.0.1", "php.example.test")


def test_what_follows_the_script_is_its_path_info(router, php):
    seen = ask(router, "/page.php/a/b")
    assert (seen["script"], seen["path"]) == ("/page.php", "/a/b")


def test_the_front_page_and_folders_run_their_index(router, php):
    assert ask(router, "/")["script"] == "/index.php"
    assert ask(router, "/admin/")["script"] == "/admin/index.php"
    redirect = router.get("php.example.test", "/admin?x=1")
    assert (redirect.status, redirect.headers["location"]) == (301, "/admin/?x=1")


@pytest.mark.parametrize("path", ["/nice/address?x=1", "/none.php", "/.env", "/plain/", "/x.phtml"])
def test_unknown_addresses_go_to_the_front_controller(router, php, path):
    seen = ask(router, path)
    assert (seen["script"], seen["uri"]) == ("/index.php", path)


def test_files_are_served_without_php(router, php):
    assert router.get("php.example.test", "/style.css").text == "c{}"
    assert router.get("php.example.test", "/plain/read.txt").text == "text"


def test_forms_and_long_bodies_arrive(router, php):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(router, "/page.php", method="POST", body=b"a=1&b=2", headers=form)["post"] == {"a": "1", "b": "2"}
    assert ask(router, "/page.php", method="PUT", body=b"x" * 3_000_000)["body"] == 3_000_000
    assert ask(router, "/", method="PUT", body=b"x" * 10)["body"] == 10


def test_a_proxy_header_is_not_taken_for_a_setting(router, php):
    assert ask(router, "/", headers={"Proxy": "http://6.6.6.6"})["proxy"] == ""


def gone(router) -> Path:
    """A socket on which nobody listens any more."""
    app = router.app()
    app.stop()
    return app.socket


@pytest.mark.parametrize("asleep", [True, False])
@pytest.mark.parametrize("size", [10, 300_000, 2_000_000])
@pytest.mark.parametrize("path", ["/page.php?a=1", "/nice/address", "/"])
def test_php_is_woken_and_the_body_arrives(router, php, asleep, size, path):
    channel = new_id()
    host = f"phpwake{asleep}{size}.example.test".lower()
    files = {"public": router.folder / "sites" / "php", "fastcgi_root": str(php)}
    before = {"presence": Presence.ASLEEP} if asleep else {"sockets": (gone(router), gone(router))}
    router.route(host, channel=channel, **before, **files)

    def wake(_host: str, _patience: str) -> int:
        router.route(host, channel=channel, sockets=(router.settings.paths.run / "i" / "fpm.s",), **files)
        return 204

    assert router.get(host, "/style.css").text == "c{}"
    with Gate(router.settings.paths.wake_socket, wake) as gate:
        got = router.request("POST", host, path, body=b"x" * size, headers={"Content-Type": "application/octet-stream"})
    assert got.status == 200, got.text
    seen = json.loads(got.body)
    assert (seen["body"], seen["uri"]) == (size, path)
    assert gate.asked == [(host, "client")]


@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.COOKIE, Affinity.ADDRESS])
def test_a_php_instance_that_has_gone_is_told_in_the_log_and_another_one_answers(router, php, affinity):
    follower = TrafficFollower(router.settings.paths)
    follower.start()
    dead, host = gone(router), f"phpgone-{affinity}.example.test"
    sockets = (*[dead] * 8, *[router.settings.paths.run / "i" / "fpm.s"] * 8)
    router.route(host, sockets=sockets, public=router.folder / "sites" / "php", fastcgi_root=str(php), affinity=affinity)
    for number in range(16):
        assert router.request("POST", host, "/page.php", body=b"x", headers={"Cookie": f"sw_slot={number:032x}"}).status == 200
    eventually(lambda: router.log("access.log").count(f'"{host}","method"') == 16, "the lines are written")
    lines = [json.loads(line) for line in router.log("access.log").splitlines() if f'"{host}"' in line]
    chosen = [line["upstream"].rsplit("/", 1)[1] for line in lines if "method" in line]
    refused = [line["upstream"].split(" : ")[0].rsplit("/", 1)[1] for line in lines if "method" not in line]
    assert sorted(refused) == sorted(f"f{slot}" for slot in chosen if int(slot) < 8), "both servers choose the same slot"
    while follower.step():
        pass
    traffic = next(one for one in follower.take() if one.host == host)
    follower.close()
    assert (traffic.requests, sum(slot.refused for slot in traffic.slots)) == (16, len(refused))


def test_php_sets_the_cookie_of_its_channel_and_limits_hold(router, php):
    files = {"public": router.folder / "sites" / "php", "sockets": (router.settings.paths.run / "i" / "fpm.s",), "fastcgi_root": str(php)}
    router.route("phpkept.example.test", affinity=Affinity.COOKIE, visits=VisitLimits(requests_per_second=1), **files)
    answers = [router.get("phpkept.example.test", "/page.php") for _ in range(6)]
    assert [cookie[:8] for cookie in answers[0].headers.get_all("set-cookie")] == ["id=1; do", "sw_slot="]
    assert answers[-1].status == 429
    assert router.get("phpkept.example.test", "/style.css").text == "c{}"


def test_a_page_of_the_private_server_has_the_request_id_that_the_log_has(router, php):
    files = {"public": router.folder / "sites" / "php", "sockets": (gone(router),), "fastcgi_root": str(php)}
    router.route("phpid.example.test", **files)
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 403):
        got = router.get("phpid.example.test", "/page.php")
    assert (got.status, json.loads(got.body)["request_id"]) == (502, got.headers["x-request-id"])
    eventually(lambda: got.headers["x-request-id"] in router.log("access.log"), "the line is written")
