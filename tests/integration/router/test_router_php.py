"""PHP sites: a real php-fpm behind the routing table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import eventually

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
