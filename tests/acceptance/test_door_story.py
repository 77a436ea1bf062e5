"""The SSH door, with OpenSSH's own programs: files, commands and ports of Alice's site; nothing of it for Charlie."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from sitewright.testing.people import Code, Person, await_it
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

APP = """from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return open("word.txt").read()
"""


@pytest.fixture(scope="module")
def site(platform: Platform, alice: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    """A live Flask site that reads a file at each visit."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "app.py").write_text(APP)
    (folder / "requirements.txt").write_text("flask\n")
    (folder / "word.txt").write_text("one")
    alice.cli("sites", "create", "workshop", "--team", "choir", "--from", str(folder), "--live")
    yield platform.site("workshop", folder)
    alice.cli("sites", "delete", "workshop", "--confirm", "workshop")


def sftp(person: Person, who: str, *commands: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    port = ("-P", str(person.platform.settings.ssh_port))
    return person.run("sftp", *person.ssh_options, *port, "-b", "-", f"{who}@localhost", check=check, stdin="\n".join(commands) + "\n")


def rsync(person: Person, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    shell = " ".join(("ssh", *person.ssh_options, "-p", str(person.platform.settings.ssh_port)))
    return person.run("rsync", "-a", "-e", shell, *words, check=check)


def scp(person: Person, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return person.run("scp", *person.ssh_options, "-P", str(person.platform.settings.ssh_port), *words, check=check)


def test_sftp_reads_and_writes_the_live_folder(site: VisitedSite, alice: Person) -> None:
    (alice.home / "word.txt").write_text("by sftp")
    sftp(alice, "workshop", "put word.txt word.txt", "get app.py fetched.py")
    assert site.get("/").text == "by sftp"
    assert (alice.home / "fetched.py").read_text() == APP


@pytest.mark.parametrize("protocol", [(), ("-O",)], ids=["sftp", "scp"])
def test_scp_copies_in_both_of_its_protocols(site: VisitedSite, alice: Person, protocol: tuple[str, ...]) -> None:
    (alice.home / "word.txt").write_text(f"by scp {protocol}")
    scp(alice, *protocol, "word.txt", "workshop@localhost:word.txt")
    assert site.get("/").text == f"by scp {protocol}"


def test_rsync_brings_a_folder(site: VisitedSite, alice: Person) -> None:
    folder = alice.home / "more"
    folder.mkdir()
    (folder / "word.txt").write_text("by rsync")
    (folder / "notes.txt").write_text("kept")
    rsync(alice, f"{folder}/", "workshop@localhost:./")
    assert site.get("/").text == "by rsync"
    (alice.home / "back").mkdir()
    rsync(alice, "workshop@localhost:notes.txt", str(alice.home / "back"))
    assert (alice.home / "back/notes.txt").read_text() == "kept"


def test_a_command_runs_beside_the_site_and_its_exit_code_comes_back(site: VisitedSite, alice: Person) -> None:
    assert alice.ssh("workshop", "cat app.py").stdout == APP
    assert alice.ssh("workshop", "cat", stdin="through the door").stdout == "through the door"
    assert alice.ssh("workshop", "exit 7", check=False).returncode == 7
    assert "alice" not in alice.ssh("workshop", "id").stdout


def test_a_shell_has_a_terminal(site: VisitedSite, alice: Person) -> None:
    said = alice.ssh("workshop", options=("-tt",), stdin="test -t 0 && echo it is $((6 * 7)); exit 3\n", check=False)
    assert said.returncode == 3
    assert "it is 42" in said.stdout


def test_a_port_of_the_site_is_reached_and_nothing_else(site: VisitedSite, alice: Person) -> None:
    """The site's own programs: here one that a command starts."""
    with forwarded(alice, "workshop", "localhost:8055") as port:
        server = subprocess.Popen(
            ["ssh", *alice.ssh_options, "-p", str(alice.platform.settings.ssh_port), "workshop@localhost", "python3 -m http.server 8055"],
            env=alice.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await_it(lambda: answers(port), "the forwarded port", 20)
            assert "word.txt" in httpx.get(f"http://127.0.0.1:{port}/", timeout=10).text
        finally:
            server.terminate()
            server.wait(timeout=10)
    manager = alice.platform.settings.http_port
    with forwarded(alice, "workshop", f"127.0.0.1:{manager}") as port:
        assert not answers(port), "the machine's own ports are not the site's"
    with forwarded(alice, "workshop", "example.org:80") as port:
        assert not answers(port)


class forwarded:  # noqa: N801 - used like a function
    """`ssh -N -L`; the local port."""

    def __init__(self, person: Person, who: str, target: str) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = int(probe.getsockname()[1])
        argv = [
            "ssh",
            *person.ssh_options,
            "-p",
            str(person.platform.settings.ssh_port),
            "-N",
            "-L",
            f"{self.port}:{target}",
            f"{who}@localhost",
        ]
        self._argv, self._environment = argv, person.environment

    def __enter__(self) -> int:
        self._process = subprocess.Popen(self._argv, env=self._environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_it(self._listens, "ssh -L", 20)
        return self.port

    def _listens(self) -> bool:
        assert self._process.poll() is None, "ssh -L ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    "options",
    [("-R", "18999:localhost:80"), ("-A",), ("-X",), ("-w", "0:0")],
    ids=["remote-forwarding", "agent", "x11", "tunnel"],
)
def test_nothing_else_is_forwarded(site: VisitedSite, alice: Person, options: tuple[str, ...]) -> None:
    said = alice.ssh("workshop", "env", options=("-o", "ExitOnForwardFailure=no", *options), check=False).stdout
    assert "SSH_AUTH_SOCK" not in said
    assert "DISPLAY" not in said
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 18999), 1)


def test_a_password_is_never_asked_for(site: VisitedSite, alice: Person) -> None:
    done = alice.ssh("workshop", "true", options=("-o", "PubkeyAuthentication=no"), check=False)
    assert done.returncode == 255
    assert "publickey" in done.stderr
    assert "password" not in done.stderr.lower()


def test_the_last_use_of_a_key_is_shown(site: VisitedSite, alice: Person) -> None:
    assert "127.0.0.1" in alice.cli("keys").stdout


def test_charlie_gets_nothing_anywhere(site: VisitedSite, alice: Person, charlie: Person, tmp_path: Path) -> None:
    charlie.ssh("git", check=False)  # the first connection notes the host's key
    absent = charlie.ssh("no-such-site", "id", check=False)
    for done in (
        charlie.ssh("workshop", "id", check=False),
        sftp(charlie, "workshop", "get app.py", check=False),
        scp(charlie, "workshop@localhost:app.py", str(tmp_path), check=False),
        rsync(charlie, "workshop@localhost:app.py", str(tmp_path), check=False),
        charlie.run("git", "clone", f"ssh://git@localhost:{charlie.platform.settings.ssh_port}/workshop", check=False),
        charlie.cli("channels", "workshop", check=False),
        charlie.cli("releases", "workshop", check=False),
        charlie.cli("git", "workshop", "--print", check=False),
        charlie.cli("publish", "workshop", "-m", "mine", check=False),
        charlie.cli("promote", "workshop", "--from", "production", check=False),
        charlie.cli("builds", "workshop", check=False),
        charlie.cli("connect", "workshop", check=False),
        charlie.cli("previews", "workshop", check=False),
    ):
        assert done.returncode != 0, f"{done.args} went through: {done.stdout}"
        assert APP not in done.stdout
    there = charlie.ssh("workshop", "id", check=False)
    assert there.stderr.replace("workshop", "no-such-site") == absent.stderr, "whether a site is there is not told either"
    assert not list(tmp_path.iterdir())


def test_charlie_gets_nothing_over_https_either(site: VisitedSite, alice: Person, charlie: Person) -> None:
    address = alice.cli("git", "workshop", "--https", "--print").stdout.strip()
    basic = base64.b64encode(f"charlie:{charlie.token}".encode()).decode()
    done = charlie.run("git", "-c", f"http.extraHeader=Authorization: Basic {basic}", "ls-remote", address, check=False)
    assert done.returncode != 0
    assert charlie.run("git", "ls-remote", address, check=False).returncode != 0


def test_a_key_that_was_taken_away_opens_nothing(site: VisitedSite, platform: Platform, bob: Person) -> None:
    assert bob.ssh("workshop", "true").returncode == 0
    [key] = [item for item in bob.api("GET", "/keys").json()["items"] if item["label"] == "bob@laptop"]
    bob.cli("keys", "remove", str(key["id"]))
    assert bob.ssh("workshop", "true", check=False).returncode == 255
    bob.cli("keys", "add", str(bob.key.with_suffix(".pub")))
    assert Code(bob, "workshop").person.ssh("workshop", "true").returncode == 0
