"""The door with the real clients of Debian: ssh, git, sftp, scp, rsync."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sitewright.bus.messages import DoorService
from sitewright.ssh import limits
from sitewright.testing.door_lab import DoorLab, door_lab

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[DoorLab]:
    async with door_lab(tmp_path) as made:
        yield made


async def test_a_known_key_is_greeted_and_its_use_noted(lab: DoorLab) -> None:
    done = await lab.ssh("git", key=lab.key("alice"))
    assert done.code == 0
    assert b"Hello alice@example.org" in done.out
    assert f":{lab.door.settings.ssh_port}/SITE".encode() in done.out
    async with asyncio.timeout(10):
        while not lab.used:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_other_kinds_of_keys_are_taken_with_modern_signatures(lab: DoorLab, kind: str) -> None:
    key = lab.key("bob", kind=kind)
    assert b"Hello bob@example.org" in (await lab.ssh("git", key=key)).out
    if kind == "ssh-rsa":
        assert (await lab.ssh("git", key=key, options=("-o", "PubkeyAcceptedAlgorithms=ssh-rsa"))).code == 255


async def test_an_unknown_key_is_refused_and_told_where_keys_are_managed(lab: DoorLab) -> None:
    done = await lab.ssh("git", key=lab.key("charlie", known=False))
    assert done.code == 255
    assert "is not known here. Add it on http://sitewright.localhost:8000/accounts/" in done.err
    assert "Permission denied (publickey)" in done.err
    assert lab.asked == []


async def test_a_password_is_not_even_asked_for(lab: DoorLab) -> None:
    options = ("-o", "PreferredAuthentications=password,keyboard-interactive,none", "-o", "NumberOfPasswordPrompts=1")
    done = await lab.ssh("git", key=lab.key("alice"), options=options)
    assert done.code == 255
    assert "Permission denied (publickey)" in done.err


async def test_who_claims_a_known_key_but_cannot_sign_stays_outside(lab: DoorLab) -> None:
    theirs, own = lab.key("alice"), lab.key("charlie", known=False)
    public = theirs.with_name("key-charlie.pub")
    public.write_text((await lab.run("ssh-keygen", "-y", "-f", str(theirs))).out.decode())
    done = await lab.ssh("git", key=own)
    assert done.code == 255
    assert lab.used == []


async def test_a_command_has_its_output_errors_and_exit_code(lab: DoorLab) -> None:
    done = await lab.ssh("guestbook", "cat; echo 'for Bob' >&2; exit 7", key=lab.key("alice"), stdin=b"from Alice")
    assert (done.code, done.out) == (7, b"from Alice")
    assert "for Bob" in done.err
    asked = lab.asked[0]
    assert (asked.service, asked.site, asked.user_id, asked.terminal) == (DoorService.SHELL, "guestbook", "alice", False)
    assert asked.address == "127.0.0.1"


async def test_a_terminal_has_a_kind_and_a_size(lab: DoorLab) -> None:
    done = await lab.ssh("guestbook", "echo hello", key=lab.key("alice"), options=("-tt",))
    assert b"hello" in done.out
    assert lab.asked[0].terminal
    assert lab.asked[0].rows > 0
    assert lab.asked[0].columns > 0


async def test_what_the_manager_refuses_is_said_in_words(lab: DoorLab) -> None:
    done = await lab.ssh("secret", "id", key=lab.key("charlie"))
    assert done.code == 1
    assert "sitewright: There is no site “secret”, or it is not yours to see." in done.err


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("rm -rf /", "push, fetch and clone"),
        ("git-upload-archive 'guestbook'", "push, fetch and clone"),
        ("git-upload-pack 'guestbook'; id", "push, fetch and clone"),
        ("git-upload-pack '../../etc'", "not the name of a site"),
        ("git-upload-pack --strict 'guestbook'", "push, fetch and clone"),
        ("git-lfs-authenticate guestbook download", "LFS"),
        ("git-upload-pack 'guest", "push, fetch and clone"),
    ],
)
async def test_as_git_nothing_but_git_is_done(lab: DoorLab, command: str, word: str) -> None:
    done = await lab.ssh("git", command, key=lab.key("alice"))
    assert done.code == 1
    assert word in done.err
    assert lab.asked == []


async def test_git_pushes_and_clones(lab: DoorLab) -> None:
    key = lab.key("alice")
    ssh = {"GIT_SSH_COMMAND": " ".join(["ssh", *lab.options(key)]), "GIT_CONFIG_GLOBAL": "/dev/null"}
    await lab.run("git", "init", "-q", "--bare", "-b", "main", str(lab.folder / "guestbook.git"))
    await lab.run("git", "init", "-q", "-b", "main", "work")
    (lab.folder / "work" / "large").write_bytes(os.urandom(8 * 1024 * 1024))
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.org")
    await lab.run("git", "-C", "work", "add", ".")
    await lab.run("git", "-C", "work", *who, "commit", "-qm", "first")
    pushed = await lab.run("git", "-C", "work", "push", "ssh://git@127.0.0.1/guestbook.git", "main", env=ssh)
    assert pushed.code == 0, pushed.err
    cloned = await lab.run("git", "clone", "-q", "git@127.0.0.1:guestbook", "copy", env=ssh)
    assert cloned.code == 0, cloned.err
    digests = {hashlib.sha256((lab.folder / name / "large").read_bytes()).hexdigest() for name in ("work", "copy")}
    assert len(digests) == 1
    assert [one.service for one in lab.asked] == [DoorService.GIT_WRITE, DoorService.GIT_READ]
    assert lab.asked[1].protocol == "version=2"


async def test_files_go_by_sftp_scp_old_and_new_and_rsync(lab: DoorLab) -> None:
    key = lab.key("alice")
    (lab.folder / "page.html").write_text("Hello Alice")
    at = "guestbook@127.0.0.1:"
    for argv in (
        ["scp", *lab.options(key), "page.html", f"{at}new.html"],
        ["scp", "-O", *lab.options(key), "page.html", f"{at}old.html"],
        ["rsync", "-a", "-e", " ".join(["ssh", *lab.options(key)]), "page.html", f"{at}synced.html"],
    ):
        done = await lab.run(*argv)
        assert done.code == 0, done.err
    batch = lab.folder / "batch"
    batch.write_text("put page.html sent.html\nget new.html back.html\n")
    done = await lab.run("sftp", "-b", str(batch), *lab.options(key), "guestbook@127.0.0.1")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (lab.folder / "guestbook").iterdir()) == ["new.html", "old.html", "sent.html", "synced.html"]
    assert (lab.folder / "back.html").read_text() == "Hello Alice"
    assert {one.service for one in lab.asked} == {DoorService.FILES}


async def test_files_of_a_released_channel_are_refused_with_a_sentence(lab: DoorLab) -> None:
    key = lab.key("alice")
    (lab.folder / "page.html").write_text("Hello")
    for program in (["scp"], ["scp", "-O"], ["rsync", "-e", " ".join(["ssh", *lab.options(key)])]):
        options = [] if program[0] == "rsync" else lab.options(key)
        done = await lab.run(*program, *options, "page.html", "released@127.0.0.1:page.html")
        assert done.code != 0
        assert "runs releases" in done.err
        assert "Push with git." in done.err


async def test_a_port_of_the_site_is_reached_and_nothing_else(lab: DoorLab) -> None:
    key = lab.key("alice")
    port, other = free_port(), free_port()
    tunnel = await asyncio.create_subprocess_exec(
        "ssh", *lab.options(key), "-N", "-L", f"{port}:localhost:8000", "-L", f"{other}:10.0.0.1:80", "guestbook@127.0.0.1",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        reader, writer = await connected(port)
        writer.write(b"Hello Alice")
        assert await asyncio.wait_for(reader.readexactly(11), 10) == b"Hello Alice"
        writer.close()
        assert (lab.asked[0].service, lab.asked[0].port) == (DoorService.PORT, 8000)
        elsewhere, closing = await connected(other)
        assert await asyncio.wait_for(elsewhere.read(), 10) == b""
        closing.close()
        assert len(lab.asked) == 1
    finally:
        tunnel.terminate()
        _, err = await tunnel.communicate()
    assert b"Only localhost is reached through this door" in err


@pytest.mark.parametrize(
    "options",
    [
        ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:80"),
        ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/socket-of-alice:localhost:80"),
        ("-w", "any:any", "-N", "-o", "ExitOnForwardFailure=yes"),
        ("-s", "something-else"),
    ],
)
async def test_what_is_not_offered_is_refused(lab: DoorLab, options: tuple[str, ...]) -> None:
    at = ["guestbook@127.0.0.1"]
    argv = [*options[:-1], *at, options[-1]] if options[0] == "-s" else [*options, *at]
    done = await lab.run("ssh", *lab.options(lab.key("alice")), *argv)
    assert done.code != 0
    assert lab.asked == []


async def test_the_client_gets_no_agent_and_no_display(lab: DoorLab) -> None:
    done = await lab.ssh("guestbook", 'echo "[$SSH_AUTH_SOCK$DISPLAY]"', key=lab.key("alice"), options=("-A", "-X"))
    assert done.code == 0
    assert done.out == b"[]\n"


async def test_only_modern_algorithms_are_offered_and_no_details_told(lab: DoorLab) -> None:
    reader, writer = await connected(lab.port)
    assert await asyncio.wait_for(reader.readline(), 10) == b"SSH-2.0-Sitewright\r\n"
    writer.close()
    key = lab.key("alice")
    for weak in ("KexAlgorithms=diffie-hellman-group14-sha1", "Ciphers=aes128-cbc", "MACs=hmac-sha1", "HostKeyAlgorithms=ssh-rsa"):
        options = ("-o", "Ciphers=aes128-ctr", "-o", weak) if weak.startswith("MACs") else ("-o", weak)
        done = await lab.ssh("git", key=key, options=options)
        assert done.code == 255
        assert "no matching" in done.err.lower()


async def test_one_address_has_only_so_many_connections(lab: DoorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_FROM_ADDRESS", 2)
    held = [await connected(lab.port) for _ in range(2)]
    for reader, _ in held:
        await asyncio.wait_for(reader.readline(), 10)
    assert (await lab.ssh("git", key=lab.key("alice"))).code == 255
    for _, writer in held:
        writer.close()
        await writer.wait_closed()


async def test_a_session_lives_on_while_the_manager_is_away(lab: DoorLab) -> None:
    talk = await asyncio.create_subprocess_exec(
        "ssh", *lab.options(lab.key("alice")), "guestbook@127.0.0.1", "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert talk.stdin
    assert talk.stdout
    talk.stdin.write(b"before\n")
    assert await asyncio.wait_for(talk.stdout.readline(), 20) == b"before\n"
    await lab.manager.close()
    talk.stdin.write(b"after\n")
    assert await asyncio.wait_for(talk.stdout.readline(), 20) == b"after\n"
    talk.stdin.close()
    assert await asyncio.wait_for(talk.wait(), 20) == 0


async def test_a_key_that_was_taken_away_opens_nothing_more_on_a_connection_that_lasts(
    lab: DoorLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sitewright.ssh.visitor.FRESH_SECONDS", -1.0)
    key, control = lab.key("alice"), ("-o", f"ControlPath={lab.folder}/c", "-o", "ControlMaster=auto", "-o", "ControlPersist=20")
    assert (await lab.ssh("guestbook", "exit 4", key=key, options=control)).code == 4
    lab.keys.clear()
    refused = await lab.ssh("guestbook", "exit 4", key=key, options=control)
    assert refused.code == 1
    assert "is not known any more" in refused.err
    await lab.run("ssh", *lab.options(key), "-o", f"ControlPath={lab.folder}/c", "-O", "exit", "guestbook@127.0.0.1")


async def test_when_the_client_is_killed_so_is_what_it_ran(lab: DoorLab) -> None:
    mark = lab.folder / "guestbook" / "ended"
    command = "trap 'exit 0' TERM; echo started; cat; touch ended"
    talk = await asyncio.create_subprocess_exec(
        "ssh", *lab.options(lab.key("alice")), "guestbook@127.0.0.1", command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert talk.stdout
    assert await asyncio.wait_for(talk.stdout.readline(), 20) == b"started\n"
    talk.kill()
    await talk.wait()
    async with asyncio.timeout(20):
        while lab.tasks:
            await asyncio.sleep(0.02)
    assert not mark.exists()


async def test_a_client_that_is_killed_has_not_said_all(lab: DoorLab) -> None:
    """Half a file is not taken for a whole one."""
    for number in range(5):
        command = f"echo started; cat > part{number} && mv part{number} whole{number}"
        argv = ["ssh", *lab.options(lab.key("alice")), "guestbook@127.0.0.1", command]
        talk = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert talk.stdin
        assert talk.stdout
        assert await asyncio.wait_for(talk.stdout.readline(), 20) == b"started\n"
        talk.stdin.write(b"half of it")
        talk.kill()
        await talk.wait()
    async with asyncio.timeout(20):
        while lab.tasks:
            await asyncio.sleep(0.02)
    assert not [path.name for path in (lab.folder / "guestbook").iterdir() if path.name.startswith("whole")]


async def test_a_bus_that_is_away_is_said_so(lab: DoorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitewright.ssh.asking.KEY_SECONDS", 1.0)
    key = lab.key("alice")
    lab.server.kill()
    done = await lab.ssh("git", key=key)
    assert done.code == 255
    assert "Keys cannot be looked up just now" in done.err


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(10):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
