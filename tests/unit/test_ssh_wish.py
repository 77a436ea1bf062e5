"""What somebody wants, read from the name they sign in as and their command."""

from __future__ import annotations

import pytest

from sitewright.bus.messages import DoorService
from sitewright.errors import InvalidValueError
from sitewright.ssh.wish import RSYNC, SCP, SFTP_SERVER, Wish, port_wish, wish_of


@pytest.mark.parametrize("path", ["guestbook", "/guestbook", "guestbook.git", "/guestbook.git", "~/guestbook.git", "/guestbook.git/"])
@pytest.mark.parametrize("program", ["git-receive-pack", "git receive-pack"])
def test_a_repository_is_named_in_many_ways(path: str, program: str) -> None:
    assert wish_of("git", f"{program} '{path}'", None) == Wish(DoorService.GIT_WRITE, "guestbook")


def test_reading_is_another_service_than_pushing() -> None:
    assert wish_of("git", "git-upload-pack guestbook", None) == Wish(DoorService.GIT_READ, "guestbook")


def test_git_without_a_command_is_greeted() -> None:
    assert wish_of("git", None, None) is None


@pytest.mark.parametrize(
    "command",
    [
        "",
        "git",
        "git-shell",
        "git-receive-pack",
        "git-receive-pack a b",
        "git-receive-pack --option guestbook",
        "git-receive-pack 'guestbook",
        "git-receive-pack guestbook;id",
        "git-receive-pack $(id)",
        "git-receive-pack ../guestbook",
        "git-receive-pack a/b",
        "git-receive-pack ''",
        "git-receive-pack Guestbook",
        "receive-pack guestbook",
        "git -c core.hooksPath=/tmp receive-pack guestbook",
        "git-lfs-transfer guestbook upload",
        "scp -t .",
        "\0",
    ],
)
def test_anything_else_is_refused_for_git(command: str) -> None:
    with pytest.raises(InvalidValueError):
        wish_of("git", command, None)


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("scp -t .", (SCP, "-t", "--", ".")),
        ("scp -v -r -p -d -t -- 'a b'", (SCP, "-v", "-r", "-p", "-d", "-t", "--", "a b")),
        ("scp -f page.html", (SCP, "-f", "--", "page.html")),
        ("rsync --server -logDtpre.iLsfxC . sub/", (RSYNC, "--server", "-logDtpre.iLsfxC", ".", "sub/")),
        ("rsync --server --sender -re.iLsfxC . a\\ b", (RSYNC, "--server", "--sender", "-re.iLsfxC", ".", "a b")),
    ],
)
def test_the_other_half_of_scp_and_rsync_is_for_files(command: str, argv: tuple[str, ...]) -> None:
    assert wish_of("guestbook", command, None) == Wish(DoorService.FILES, "guestbook", argv)


@pytest.mark.parametrize("command", ["scp a b:c", "scp -S evil -t .", "rsync -a x y", "scp -t a b", "ls 'x"])
def test_every_other_command_is_run_by_a_shell_of_the_site(command: str) -> None:
    assert wish_of("guestbook--staging", command, None) == Wish(DoorService.SHELL, "guestbook--staging", ("/bin/sh", "-c", command))


def test_sftp_is_the_one_subsystem() -> None:
    assert wish_of("guestbook", None, "sftp") == Wish(DoorService.FILES, "guestbook", (SFTP_SERVER,))
    for user, subsystem in (("guestbook", "netconf"), ("git", "sftp")):
        with pytest.raises(InvalidValueError):
            wish_of(user, None, subsystem)


@pytest.mark.parametrize("user", ["", "root/x", "a b", "../x", "A", "x" * 65, "x.y", "guest*"])
def test_a_name_that_no_site_can_have_is_refused(user: str) -> None:
    with pytest.raises(InvalidValueError):
        wish_of(user, "id", None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_port_on_loopback_is_the_sites_own(host: str) -> None:
    assert port_wish("guestbook", host, 8000) == Wish(DoorService.PORT, "guestbook", port=8000)


@pytest.mark.parametrize(
    ("user", "host", "port"),
    [
        ("guestbook", "10.0.0.1", 80),
        ("guestbook", "example.org", 80),
        ("guestbook", "127.0.0.2", 80),
        ("guestbook", "", 80),
        ("guestbook", "localhost", 0),
        ("guestbook", "localhost", 65536),
        ("git", "localhost", 80),
    ],
)
def test_every_other_place_is_refused(user: str, host: str, port: int) -> None:
    with pytest.raises(InvalidValueError):
        port_wish(user, host, port)
