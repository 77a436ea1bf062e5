"""What is said on the bus. Every message is a frozen model with unknown fields ignored, so that old and new nodes understand each other.

Domain values (dataclasses) are fields as they are; pydantic checks them at the border.
"""

from __future__ import annotations

from sitewright.bus.messages.base import Ack, Failure, Message, Nothing
from sitewright.bus.messages.builds import (
    Artefacts,
    Author,
    BuildQuery,
    BuildRequest,
    BuildSearch,
    BuildStatus,
    CacheQuery,
    CacheReport,
    CommitSource,
    Component,
    FolderSource,
    GitSource,
    ImageSource,
    Source,
    TemplateSource,
    UploadSource,
)
from sitewright.bus.messages.doors import DoorGrant, DoorKey, DoorOpen, DoorPerson, DoorService
from sitewright.bus.messages.files import FileContent, FileEntry, FileKind, FileListing, FileQuery, FileWrite
from sitewright.bus.messages.git import (
    ChangesAnswer,
    ChangesQuery,
    Credential,
    Edits,
    EditsQuery,
    GitOpen,
    GitService,
    OperationFollow,
    OperationNews,
    Published,
    PublishEdits,
    PushAsked,
    PushVerdict,
    Ref,
    RefMove,
    Refs,
    RefVerdict,
    RepositoryFetch,
    RepositoryFetched,
    RepositoryQuery,
)
from sitewright.bus.messages.state import (
    ChannelQuery,
    DesiredDifference,
    DesiredDigest,
    DesiredPut,
    EventBatch,
    Heartbeat,
    Hello,
    NodeStats,
)
from sitewright.bus.messages.streams import ExecOpen, LogLine, LogPage, LogQuery, StreamChunk

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
    "build.artefacts": (BuildQuery, Artefacts),
    "build.search": (BuildSearch, LogPage),
    "cache.report": (CacheQuery, CacheReport),
    "git.open": (GitOpen, Ack),
    "git.refs": (RepositoryQuery, Refs),
    "git.changes": (ChangesQuery, ChangesAnswer),
    "git.move": (RefMove, Ack),
    "git.fetch": (RepositoryFetch, RepositoryFetched),
    "git.edits": (EditsQuery, Edits),
    "git.publish": (PublishEdits, Published),
    "stats": (Nothing, NodeStats),
}
"""What a node answers under rpc.<node>.<method>: request → answer. An error comes back as Failure."""

DOOR_METHODS: dict[str, tuple[type[Message], type[Message]]] = {
    "key": (DoorKey, DoorPerson),
    "open": (DoorOpen, DoorGrant),
}
"""What the manager answers under door.<door>.<method>."""

NODE_QUESTIONS: dict[str, tuple[type[Message], type[Message]]] = {
    "events": (EventBatch, Ack),
    "hello": (Hello, Ack),
    "push": (PushAsked, PushVerdict),
    "follow": (OperationFollow, OperationNews),
}
"""What a node asks the manager under node.<node>.<topic>."""

REPEATABLE = frozenset(
    {
        *("desired.put", "desired.compare", "channel.state", "build.status", "log.read", "files.list", "files.read", "stats"),
        *("build.artefacts", "build.search", "git.refs", "git.changes", "git.fetch", "git.edits"),
    }
)
"""Methods that may be asked again when the connection was lost before the answer came: they only read, or do nothing the second time."""

__all__ = [
    "DOOR_METHODS",
    "METHODS",
    "NODE_QUESTIONS",
    "REPEATABLE",
    "Ack",
    "Artefacts",
    "Author",
    "BuildQuery",
    "BuildRequest",
    "BuildSearch",
    "BuildStatus",
    "CacheQuery",
    "CacheReport",
    "ChangesAnswer",
    "ChangesQuery",
    "ChannelQuery",
    "CommitSource",
    "Component",
    "Credential",
    "DesiredDifference",
    "DesiredDigest",
    "DesiredPut",
    "DoorGrant",
    "DoorKey",
    "DoorOpen",
    "DoorPerson",
    "DoorService",
    "Edits",
    "EditsQuery",
    "EventBatch",
    "ExecOpen",
    "Failure",
    "FileContent",
    "FileEntry",
    "FileKind",
    "FileListing",
    "FileQuery",
    "FileWrite",
    "FolderSource",
    "GitOpen",
    "GitService",
    "GitSource",
    "Heartbeat",
    "Hello",
    "ImageSource",
    "LogLine",
    "LogPage",
    "LogQuery",
    "Message",
    "NodeStats",
    "Nothing",
    "OperationFollow",
    "OperationNews",
    "PublishEdits",
    "Published",
    "PushAsked",
    "PushVerdict",
    "Ref",
    "RefMove",
    "RefVerdict",
    "Refs",
    "RepositoryFetch",
    "RepositoryFetched",
    "RepositoryQuery",
    "Source",
    "StreamChunk",
    "TemplateSource",
    "UploadSource",
]
