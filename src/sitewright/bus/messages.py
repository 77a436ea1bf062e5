"""What is said on the bus. Every message is a frozen model with unknown fields ignored, so that old and new nodes understand each other.

Domain values (dataclasses) are fields as they are; pydantic checks them at the border.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sitewright.domain.desired import ActualChannel, DesiredChannel
from sitewright.domain.events import Event
from sitewright.domain.release import Blueprint
from sitewright.domain.states import BuildState


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()


class Ack(Message):
    """Understood and kept. ``problem`` says why not, in words for a person; "" is yes."""

    problem: str = ""


class Failure(Message):
    """The answer to a request that raised a SitewrightError; the client raises it again as that error."""

    failure: Literal[True] = True
    code: str
    message: str
    details: str = ""
    resolution: str = ""
    permanent: bool = True


class Hello(Message):
    """A node says that it is there (again) and wants to be compared."""

    node: str
    version: str
    engine: str


class Heartbeat(Message):
    """Every 5 s, and at once after a change of an instance. ``full``: ``channels`` is everything this node holds, in ``parts`` messages of
    which this is number ``part`` (from 0); else only what changed. ``sequence`` grows by one: who misses a number has missed a message."""

    node: str
    at: float
    sequence: int
    full: bool
    part: int = 0
    parts: int = 1
    channels: tuple[ActualChannel, ...] = ()
    memory_total: int = 0
    memory_used: int = 0
    builds_running: int = 0


class EventBatch(Message):
    """Events not yet acknowledged, oldest first; a node keeps them on disk until the manager says Ack."""

    node: str
    events: tuple[Event, ...]


class DesiredPut(Message):
    """Desired state of one channel. The node stores it on disk before it answers."""

    channel: DesiredChannel


class DesiredDigest(Message):
    """Channel id → generation: the full comparison. The node answers with what it lacks or has too old, and what it holds in excess.

    ``full``: it is to say everything that it does, too, because not all of its heartbeats were heard.
    """

    generations: dict[str, int]
    full: bool = True


class DesiredDifference(Message):
    """The answer to DesiredDigest."""

    wanted: tuple[str, ...] = ()
    excess: tuple[str, ...] = ()


class ChannelQuery(Message):
    """Which channel."""

    channel_id: str


class UploadSource(Message):
    """An archive (zip, tar, tar.gz, tar.xz, tar.bz2) that the manager put into <home>/uploads/<digest>."""

    kind: Literal["upload"] = "upload"
    digest: str
    name: str = ""


class GitSource(Message):
    """A git address (https://, http://, or file:// only for tests) and a branch, tag or commit ("" is the default branch)."""

    kind: Literal["git"] = "git"
    url: str
    ref: str = ""


class TemplateSource(Message):
    """A template that ships with the platform, by name."""

    kind: Literal["template"] = "template"
    name: str


class FolderSource(Message):
    """The channel's live folder as it is: what `live` mode builds, in place."""

    kind: Literal["folder"] = "folder"


Source = Annotated[UploadSource | GitSource | TemplateSource | FolderSource, Field(discriminator="kind")]


class BuildRequest(Message):
    """Start (or learn about) a build; the same id asked again returns its state and starts nothing.

    ``mode`` live: the source is laid into the channel's folder and prepared there, no droplet is made.
    ``release_number``: where the built tree is put ready when ``mode`` is released.
    """

    build_id: str
    site_id: str
    number: int
    channel_id: str
    channel: str
    mode: Literal["live", "released"]
    source: Source
    release_number: int = 0
    env: tuple[tuple[str, str], ...] = ()
    quota_bytes: int = 0
    """Upper bound of the built tree; 0 is none."""


class BuildStatus(Message):
    """How a build is doing. ``blueprint``, ``droplet`` and sizes are there when it has succeeded; ``error`` parts when it has failed."""

    build_id: str
    state: BuildState
    phase: str = ""
    position: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    droplet: str = ""
    size_bytes: int = 0
    blueprint: Blueprint | None = None
    commit: str = ""
    problem: str = ""
    details: str = ""
    resolution: str = ""


class BuildQuery(Message):
    """Which build."""

    build_id: str


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
    terminal: bool = False
    rows: int = 24
    columns: int = 80


class StreamChunk(Message):
    """A piece of a stream. ``kind`` data: bytes in base64; resize: rows and columns; eof: input is closed; exit: it ended with ``code``.

    The manager repeats ``ping`` every 10 s; a session without one for 30 s is killed by the node, and the other way round.
    """

    kind: Literal["data", "resize", "eof", "exit", "ping", "kill"]
    data: str = ""
    rows: int = 0
    columns: int = 0
    code: int = 0
    sequence: int = 0


class FileKind(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class FileQuery(Message):
    """Files of a live channel, beneath its folder only. ``path`` is relative ("" the folder itself)."""

    site_id: str
    channel: str
    number: int
    path: str = ""


class FileEntry(Message):
    """One entry of a folder."""

    name: str
    kind: FileKind
    size: int = 0
    modified: float = 0.0
    executable: bool = False


class FileListing(Message):
    """A folder's entries, by name."""

    entries: tuple[FileEntry, ...] = ()


class FileContent(Message):
    """A file's bytes in base64 (at most 1 MiB) and the fingerprint to send back when writing."""

    data: str
    version: str


class FileWrite(Message):
    """Write a whole file (at most 1 MiB), making folders on the way. ``version`` "" is a new file; another one than the current is a
    conflict."""

    site_id: str
    channel: str
    number: int
    path: str
    data: str
    version: str = ""


class NodeStats(Message):
    """The node's own figures, for /metrics and the health page."""

    node: str
    instances: int
    channels: int
    queue: int
    uptime_seconds: float
    loop_seconds: float = 0.0
    extra: dict[str, Any] = Field(default_factory=dict)


class Nothing(Message):
    """No argument."""


METHODS: dict[str, tuple[type[Message], type[Message]]] = {
    "desired.put": (DesiredPut, Ack),
    "desired.compare": (DesiredDigest, DesiredDifference),
    "channel.state": (ChannelQuery, Heartbeat),
    "channel.wake": (ChannelQuery, Ack),
    "build.start": (BuildRequest, BuildStatus),
    "build.status": (BuildQuery, BuildStatus),
    "build.cancel": (BuildQuery, BuildStatus),
    "log.read": (LogQuery, LogPage),
    "exec.open": (ExecOpen, Ack),
    "files.list": (FileQuery, FileListing),
    "files.read": (FileQuery, FileContent),
    "files.write": (FileWrite, FileContent),
    "files.delete": (FileQuery, Ack),
    "stats": (Nothing, NodeStats),
}
"""What a node answers under rpc.<node>.<method>: request → answer. An error comes back as Failure."""

REPEATABLE = frozenset({"desired.put", "desired.compare", "channel.state", "build.status", "log.read", "files.list", "files.read", "stats"})
"""Methods that may be asked again when the connection was lost before the answer came: they only read, or do nothing the second time."""
