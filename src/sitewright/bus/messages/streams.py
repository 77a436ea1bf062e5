"""Logs, commands and terminals."""

from __future__ import annotations

from typing import Literal

from sitewright.bus.messages.base import Message


class LogQuery(Message):
    """Read a log from ``cursor`` (opaque; "" is the end less ``tail`` lines). Waits up to ``wait_seconds`` for something new.

    Exactly one of ``build_id`` and ``channel_id``; ``process`` "" is all processes of the channel.
    """

    build_id: str = ""
    site_id: str = ""
    channel: str = ""
    channel_id: str = ""
    process: str = ""
    cursor: str = ""
    tail: int = 200
    wait_seconds: float = 0.0
    limit: int = 1000


class LogLine(Message):
    """One line of output. ``at`` is seconds since the epoch, ``source`` the instance's process and index (`web.1`) or `build`."""

    at: float
    source: str
    text: str


class LogPage(Message):
    """Lines and the cursor to go on from. ``ended``: nothing will ever follow (a finished build)."""

    lines: tuple[LogLine, ...] = ()
    cursor: str = ""
    ended: bool = False


class ExecOpen(Message):
    """Run a command beside a running instance of the process type; output goes to stream_out(session), input comes from stream_in."""

    session: str
    channel_id: str
    process: str = "web"
    argv: tuple[str, ...]
    one_off: bool = False
    """Run it in a box of its own with the release's files and variables, which ends with it; nothing of the site need be running."""
    or_box: bool = False
    """Where nothing of that process runs, a box of its own does."""
    files: bool = False
    """For SFTP, scp and rsync: a box of its own with the live folder, whatever runs, and no network."""
    port: int = 0
    """Not 0: the stream is a connection to that port inside the instance, and ``argv`` is ()."""
    env: tuple[tuple[str, str], ...] = ()
    """More variables, such as TERM."""
    metered: bool = False
    """Both sides send ``taken`` (see StreamChunk)."""
    session_user: str = ""
    """E-mail address of who opened it, for the timeline."""
    terminal: bool = False
    rows: int = 24
    columns: int = 80


class StreamChunk(Message):
    """A piece of a stream. ``kind`` data: bytes in base64; resize: rows and columns; eof: input is closed; exit: it ended with ``code``;
    error: bytes of standard error; taken: the receiver has passed ``code`` bytes on in all, and no more than 4 MiB may be under way.

    The manager repeats ``ping`` every 10 s; a session without one for 30 s is killed by the node, and the other way round.
    """

    kind: Literal["data", "error", "resize", "eof", "exit", "ping", "kill", "taken"]
    data: str = ""
    rows: int = 0
    columns: int = 0
    code: int = 0
    sequence: int = 0
