"""What somebody wants, read from the name they sign in as and from the command. Pure; whatever is not understood is refused in words."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from sitewright.bus.messages.doors import DoorService
from sitewright.errors import InvalidValueError

GIT_USER = "git"
"""The name that git's addresses use: git@HOST:SITE. A site of that name cannot be."""
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
RSYNC = "/usr/bin/rsync"
SCP = "/usr/bin/scp"
SHELL = "/bin/sh"
_SITE = re.compile(r"[a-z0-9-]{1,64}")
_GIT = {"receive-pack": DoorService.GIT_WRITE, "upload-pack": DoorService.GIT_READ}
_SCP_OPTIONS = re.compile(r"-[rpdvqtf]+")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Wish:
    """``argv`` is () for a login shell and for git; ``site`` is `NAME` or `NAME--CHANNEL`, not looked up yet."""

    service: DoorService
    site: str
    argv: tuple[str, ...] = ()
    port: int = 0


def wish_of(user: str, command: str | None, subsystem: str | None) -> Wish | None:
    """What *user* asks for; None is a greeting. Raises InvalidValueError with a sentence for a person."""
    if user == GIT_USER:
        if subsystem is not None:
            raise InvalidValueError("Files of a site are under its own name.", resolution="Try `sftp -P PORT SITE@HOST`.")
        return None if command is None else git_wish(command)
    site_named(user)
    if subsystem is not None:
        if subsystem != "sftp":
            raise InvalidValueError(f"The subsystem “{subsystem[:20]}” is not offered here.")
        return Wish(DoorService.FILES, user, (SFTP_SERVER,))
    if command is None:
        return Wish(DoorService.SHELL, user)
    copying = copy_argv(command)
    if copying is not None:
        return Wish(DoorService.FILES, user, copying)
    if command.startswith(("git-receive-pack ", "git-upload-pack ")):
        raise InvalidValueError("Repositories are under the name git.", resolution=f"Use the address git@HOST:{user} instead.")
    return Wish(DoorService.SHELL, user, (SHELL, "-c", command))


def git_wish(command: str) -> Wish:
    """`git-receive-pack 'SITE.git'` and its kin. Raises InvalidValueError."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] == ["git"] and len(words) > 1:
        words = [f"git-{words[1]}", *words[2:]]
    name = words[0].removeprefix("git-") if words else ""
    if name.startswith("lfs-"):
        raise InvalidValueError(
            "Large File Storage (LFS) is not offered here.",
            resolution="Keep large files in the site's data folder, or commit them as they are: `git lfs migrate export`.",
        )
    if name not in _GIT or not words[0].startswith("git-") or len(words) != 2:
        raise InvalidValueError(
            "As git you can push, fetch and clone, and nothing else.",
            resolution="For a shell or a command sign in under the site's name: `ssh SITE@HOST`.",
        )
    return Wish(_GIT[name], repository_named(words[1]))


def repository_named(path: str) -> str:
    """The site's name in `SITE`, `/SITE`, `SITE.git`, `~/SITE.git`. Raises InvalidValueError."""
    return site_named(path.removeprefix("~").strip("/").removesuffix(".git"))


def site_named(name: str) -> str:
    """*name*, if it can be one. Raises InvalidValueError."""
    if not _SITE.fullmatch(name):
        raise InvalidValueError(
            "That is not the name of a site.", resolution="An address looks like ssh://git@HOST:PORT/SITE, a shell's like SITE@HOST."
        )
    return name


def copy_argv(command: str) -> tuple[str, ...] | None:
    """The other half of scp or rsync, when *command* is what these send; else None."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words[:2] == ["rsync", "--server"]:
        return (RSYNC, *words[1:])
    if words[:1] == ["scp"]:
        options = [word for word in words[1:] if word != "--"]
        flags = [word for word in options if _SCP_OPTIONS.fullmatch(word)]
        paths = [word for word in options if word not in flags]
        if len(paths) == 1 and any("t" in flag or "f" in flag for flag in flags):
            return (SCP, *flags, "--", *paths)
    return None


def port_wish(user: str, host: str, port: int) -> Wish:
    """A connection to the site's own process. Raises InvalidValueError."""
    if user == GIT_USER:
        raise InvalidValueError("Ports are reached under a site's name.", resolution="ssh -L 8000:localhost:8000 SITE@HOST")
    if host not in LOOPBACK or not 1 <= port <= 65535:
        raise InvalidValueError("Only localhost is reached through this door: the site's own processes.")
    return Wish(DoorService.PORT, site_named(user), port=port)
