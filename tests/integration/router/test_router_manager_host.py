"""The manager's own host name."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

import pytest

from .conftest import AppServer, answer


class Manager(BaseHTTPRequestHandler):
    """Says who it is, and how much it was sent."""

    def do_GET(self) -> None:
        answer(self, f"manager {self.path} {self.headers['X-Forwarded-For']}".encode(), headers={"X-Accel-Redirect": "/../stopped.html"})

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read1(min(left, 1 << 20)))
        answer(self, b"received")

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def manager(router):
    path = router.settings.paths.manager_socket
    server = AppServer(str(path), Manager)
    path.chmod(0o666)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    path.unlink()


def test_it_is_reached_by_its_name_whatever_the_sites_do(router, manager):
    router.route("sitewright.example.test", public=router.public("thief", index_html="stolen"))
    page = router.get("sitewright.example.test", "/a?b=c", X_Forwarded_For="6.6.6.6")
    assert page.text == "manager /a?b=c 127.0.0.1"


def test_a_long_upload_streams_to_it(router, manager):
    assert router.request("POST", "sitewright.example.test", "/api/v1/uploads", body=b"\0" * 50_000_000).text == "received"


def test_its_files_come_from_it_when_they_were_not_collected(router, manager):
    assert router.get("sitewright.example.test", "/static/app.css").text.startswith("manager /static/app.css")


def test_while_it_is_down_there_is_a_page(router):
    for path in ("/", "/static/app.css"):
        page = router.get("sitewright.example.test", path, Accept="text/html")
        assert page.status == 503
        assert "The manager is restarting" in page.text
        assert page.headers["retry-after"] == "2"
    assert (
        router.request("POST", "sitewright.example.test", "/api/v1/sites", body=b"{}")
        .headers["content-type"]
        .startswith("application/problem+json")
    )
