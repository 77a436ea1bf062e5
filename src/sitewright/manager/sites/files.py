"""Files of a live channel, through its node, for pages and the API. Every function takes the channel as found by access; paths stay
beneath its folder because the node opens them so."""

from __future__ import annotations

import base64

from sitewright.bus.messages import Ack, FileContent, FileListing, FileQuery, FileWrite
from sitewright.domain.limits import MIB
from sitewright.domain.states import Mode
from sitewright.errors import ConflictError, InvalidValueError
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

LONGEST_PATH = 1024
LARGEST_FILE = MIB
"""Bytes of a file that is read or written in one piece."""


def _node(channel: Channel) -> NodeClient:
    if channel.mode != Mode.LIVE.value:
        raise ConflictError(
            "The files of this site cannot be edited in place.",
            details="It runs releases, which never change.",
            resolution="Deploy a new release instead.",
        )
    return NodeClient(runtime().bus, channel.node)


def checked(path: str) -> str:
    """A relative path that stays below the folder in form; the node makes sure of it in fact. Raises InvalidValueError."""
    if "\0" in path or path.startswith("/") or ".." in path.split("/") or len(path) > LONGEST_PATH:
        raise InvalidValueError(
            "This is not a path below the site's folder.", resolution="Give a path relative to it, like “static/style.css”."
        )
    return path


def _query(channel: Channel, path: str) -> FileQuery:
    path = checked(path)
    return FileQuery(site_id=channel.site_id, channel=channel.name, number=channel.site.number, path=path)


def list_folder(channel: Channel, path: str) -> FileListing:
    """What is in the folder; "" is the uppermost one. Raises NotFoundError, ConflictError for a channel that is not live."""
    return _node(channel).ask("files.list", _query(channel, path), FileListing)


def read_file(channel: Channel, path: str) -> tuple[bytes, str]:
    """A file's bytes, and the fingerprint to give back when writing."""
    content = _node(channel).ask("files.read", _query(channel, path), FileContent)
    return base64.b64decode(content.data), content.version


def write_file(channel: Channel, path: str, data: bytes, version: str) -> str:
    """Write the whole file; the new fingerprint. *version* is the one that was read, "" for a new file.

    Raises ConflictError when the file is another one by now, InvalidValueError when it is larger than LARGEST_FILE.
    """
    if len(data) > LARGEST_FILE:
        raise InvalidValueError("The file is larger than 1 MB.", resolution="Deploy it instead.")
    write = FileWrite(**_query(channel, path).model_dump(), data=base64.b64encode(data).decode(), version=version)
    return _node(channel).ask("files.write", write, FileContent).version


def delete_file(channel: Channel, path: str) -> None:
    """Remove a file, or a folder with all in it."""
    answer = _node(channel).ask("files.delete", _query(channel, path), Ack)
    if answer.problem:
        raise ConflictError("The file was not deleted.", details=answer.problem)
