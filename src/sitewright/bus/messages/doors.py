"""What the SSH door asks."""

from __future__ import annotations

from enum import StrEnum

from sitewright.bus.messages.base import Message


class DoorKey(Message):
    """The SSH door asks: whose key is that? ``fingerprint`` is `SHA256:…`. ``used``: it has signed, so its last use is noted."""

    fingerprint: str
    address: str = ""
    used: bool = False


class DoorPerson(Message):
    """Who it is."""

    user_id: str
    email: str
    key_label: str = ""


class DoorService(StrEnum):
    """What somebody wants at the door."""

    GIT_READ = "git-read"
    GIT_WRITE = "git-write"
    SHELL = "shell"
    """A command, or a shell with a terminal."""
    FILES = "files"
    """SFTP, scp, rsync: in the live channel's folder."""
    PORT = "port"


class DoorOpen(Message):
    """Open a session. The manager looks up whether they may, has the node open it, and answers where its streams are. ``site`` is
    `NAME` or `NAME--CHANNEL` as the client wrote it; the door listens to the session's output before it asks."""

    session: str
    user_id: str
    site: str
    service: DoorService
    argv: tuple[str, ...] = ()
    """() is a login shell."""
    process: str = ""
    terminal: bool = False
    rows: int = 24
    columns: int = 80
    term: str = ""
    port: int = 0
    protocol: str = ""
    """GIT_PROTOCOL of the client."""
    address: str = ""
    """Where they come from."""
    language: str = ""
    """LANG of the client; "" is the site's own."""


class DoorGrant(Message):
    """It is open: streams go to and come from that node."""

    node: str
