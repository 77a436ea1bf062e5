"""What follows from a fetch, which addresses are repositories, and where requests may go."""

from __future__ import annotations

import socket

import pytest

from sitewright.domain.git import RefUpdate
from sitewright.errors import InvalidValueError, UnavailableError
from sitewright.manager.repositories.address import parse
from sitewright.manager.repositories.arrivals import MOST_REFS, Difference, difference, plan, sensible
from sitewright.manager.repositories.deploy_keys import make_key
from sitewright.manager.repositories.models import Vendor
from sitewright.system import outgoing
from sitewright.system.outgoing import allowed, networks, resolve

A, B, C = "1a" * 20, "2b" * 20, "3c" * 20
MAIN, MENU, TAG = "refs/heads/main", "refs/heads/menu", "refs/tags/v1"


def test_a_difference_is_what_changed_and_what_is_gone():
    assert difference({MAIN: A, MENU: A}, {MAIN: B, TAG: C}) == Difference({MAIN: B, TAG: C}, {MENU: A})
    assert difference({MAIN: A}, {MAIN: A}) == Difference({}, {})


def test_followed_branches_are_deployed_and_others_are_moved():
    found = plan(Difference({MAIN: B, MENU: B, TAG: C}, {}), {MAIN: A, MENU: A}, {"main"})
    assert found.arrivals == {"main": B}
    assert found.moves == (RefUpdate(MENU, A, B, forced=True), RefUpdate(TAG, "", C, forced=True))
    assert found.previews == {"menu": B}
    assert found.deletions == ()


def test_what_is_here_already_is_neither_deployed_nor_moved():
    found = plan(Difference({MAIN: A, MENU: B}, {}), {MAIN: A, MENU: B}, {"main"})
    assert (found.arrivals, found.moves, found.previews) == ({}, (), {"menu": B})


def test_a_branch_that_is_gone_there_goes_here_unless_a_channel_follows_it_or_somebody_moved_it_here():
    gone = Difference({}, {MAIN: A, MENU: A, TAG: A})
    found = plan(gone, {MAIN: A, MENU: A, TAG: B}, {"main"})
    assert found.deletions == (RefUpdate(MENU, A, ""),)
    assert found.kept == ("main",)
    assert found.previews == {"menu": ""}


def test_a_tag_of_a_followed_branchs_name_is_only_a_tag():
    assert plan(Difference({"refs/tags/main": B}, {}), {}, {"main"}).arrivals == {}


def test_odd_names_and_commits_are_left_out_and_branches_come_before_tags():
    refs = {TAG: A, MAIN: A, "refs/heads/a..b": A, "refs/pull/7/head": A, "HEAD": A, MENU: "nonsense", "refs/sitewright/x": A}
    assert list(sensible(refs)) == [MAIN, TAG]
    many = {f"refs/tags/{number}": A for number in range(3 * MOST_REFS)} | {MAIN: A}
    assert len(sensible(many)) == MOST_REFS
    assert MAIN in sensible(many)


@pytest.mark.parametrize(
    ("text", "url", "project", "vendor", "api"),
    [
        ("https://github.com/alice/notes.git", "https://github.com/alice/notes.git", "alice/notes", "github", "https://api.github.com"),
        ("git@gitlab.com:choir/web/notes.git", "ssh://git@gitlab.com/choir/web/notes.git", "choir/web/notes", "gitlab", "https://gitlab.com/api/v4"),
        ("ssh://git@git.example.org:2222/a/b", "ssh://git@git.example.org:2222/a/b", "a/b", "plain", ""),
        (" https://Codeberg.org/alice/notes/ ", "https://codeberg.org/alice/notes", "alice/notes", "gitea", "https://codeberg.org/api/v1"),
        ("http://gitea.lan:3000/a/b.git", "http://gitea.lan:3000/a/b.git", "a/b", "gitea", "http://gitea.lan:3000/api/v1"),
        ("https://github.example.org/a/b", "https://github.example.org/a/b", "a/b", "github", "https://github.example.org/api/v3"),
        ("https://notgithub.com/a/b", "https://notgithub.com/a/b", "a/b", "plain", ""),
    ],
)  # fmt: skip
def test_an_address_is_read_and_its_vendor_guessed(text, url, project, vendor, api):
    found = parse(text)
    assert (found.url, found.project, found.guess.value, found.api_url(found.guess)) == (url, project, vendor, api)


def test_whoever_is_said_to_be_the_vendor_is_believed():
    assert parse("https://git.example.org/a/b").api_url(Vendor.GITLAB) == "https://git.example.org/api/v4"
    assert parse("git@git.example.org:a/b").api_url(Vendor.GITEA) == "https://git.example.org/api/v1"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
        *("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
        "192.0.2.1",
    ],
)  # fmt: skip
def test_no_request_goes_to_an_address_that_is_not_public(address):
    assert not allowed(address, ())


def test_public_addresses_and_those_that_were_allowed_may_be_reached():
    assert allowed("93.184.215.14", ())
    assert allowed("2606:2800:21f:cb07:6820:80da:af6b:8b2c", ())
    assert allowed("10.1.2.3", networks("192.168.0.0/16, 10.1.0.0/16"))
    assert not allowed("10.2.2.3", networks("10.1.0.0/16"))


def _names(monkeypatch, *addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", lambda *_a, **_k: found)


def test_a_name_with_one_private_address_is_refused_as_a_whole(monkeypatch):
    _names(monkeypatch, "93.184.215.14", "127.0.0.1")
    with pytest.raises(InvalidValueError, match="private network"):
        resolve("rebinding.example.org", 443, "")
    _names(monkeypatch, "93.184.215.14")
    assert resolve("good.example.org", 443, "") == ("93.184.215.14",)


def test_a_name_that_is_not_known_may_be_later(monkeypatch):
    def unknown(*_arguments, **_more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", unknown)
    with pytest.raises(UnavailableError):
        resolve("nowhere.example.org", 443, "")


def test_a_token_goes_over_the_internet_encrypted_only(monkeypatch):
    from sitewright.manager.repositories.vendors.values import Call

    _names(monkeypatch, "93.184.215.14")
    with pytest.raises(InvalidValueError, match="unencrypted"):
        outgoing.send(Call("GET", "http://forge.example.org/api", (("Authorization", "token x"),)))
    with pytest.raises(InvalidValueError):
        outgoing.send(Call("GET", "file:///etc/passwd", ()))


def test_a_redirect_is_not_followed_and_an_answer_has_a_bound(tmp_path):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from sitewright.manager.repositories.vendors.values import Call

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            if self.path == "/large":
                self.wfile.write(b"x" * (outgoing.LARGEST_ANSWER + 100_000))

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        root = f"http://127.0.0.1:{server.server_address[1]}"
        assert outgoing.send(Call("GET", f"{root}/away", ()), "127.0.0.0/8").status == 302
        assert len(outgoing.send(Call("GET", f"{root}/large", ()), "127.0.0.0/8").body) == outgoing.LARGEST_ANSWER
        server.shutdown()
        thread.join(5)


def test_two_keys_are_two_pairs_in_openssh_form():
    first, second = make_key("one"), make_key("two")
    assert first[0].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert first[1].split()[0] == "ssh-ed25519"
    assert first[1].split()[1] != second[1].split()[1]
    assert first[1].endswith(" one")
