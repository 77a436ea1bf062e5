"""/sites/{name}/files: the folder of a live channel. The node opens nothing outside it; here only the form is checked."""

from __future__ import annotations

import base64
import binascii

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.bus.messages import Ack, FileContent, FileListing, FileQuery, FileWrite
from sitewright.domain.limits import MIB
from sitewright.domain.states import Mode, Role
from sitewright.errors import ConflictError, InvalidValueError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.access import channel_for
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.schemas import FileBody, FileList, FileOut

router = Router(tags=["files"])

LONGEST_PATH = 1024


@router.get("/{name}/files", response=FileList, operation_id="listFiles")
async def list_files(request: HttpRequest, name: str, path: str = Query("", max_length=LONGEST_PATH)) -> FileList:
    """The entries of a folder; "" is the site's own."""
    channel = await _live(person(request), name, Role.VIEWER)
    listing = await _client(channel).ask_soon("files.list", _query(channel, path), FileListing)
    items = [
        FileOut(name=one.name, kind=one.kind.value, size=one.size, modified=one.modified, executable=one.executable)
        for one in listing.entries
    ]
    return FileList(items=items, next=None)


@router.get("/{name}/files/content", response=FileBody, operation_id="readFile")
async def read_file(request: HttpRequest, name: str, path: str = Query(..., max_length=LONGEST_PATH)) -> FileBody:
    """A file of at most 1 MiB."""
    channel = await _live(person(request), name, Role.DEVELOPER)
    content = await _client(channel).ask_soon("files.read", _query(channel, path), FileContent)
    return FileBody(data=content.data, version=content.version)


@router.put("/{name}/files/content", response=FileBody, operation_id="writeFile")
async def write_file(request: HttpRequest, name: str, body: FileBody, path: str = Query(..., max_length=LONGEST_PATH)) -> FileBody:
    """Write a whole file. 409 when somebody else has changed it since you read it."""
    channel = await _live(person(request), name, Role.DEVELOPER)
    _check_data(body.data)
    query = _query(channel, path)
    wanted = FileWrite(**query.model_dump(), data=body.data, version=body.version)
    content = await _client(channel).ask_soon("files.write", wanted, FileContent)
    return FileBody(data="", version=content.version)


@router.delete("/{name}/files/content", response={204: None}, operation_id="deleteFile")
async def delete_file(request: HttpRequest, name: str, path: str = Query(..., max_length=LONGEST_PATH)) -> Status[None]:
    """Delete a file or a folder with all in it."""
    channel = await _live(person(request), name, Role.DEVELOPER)
    answer = await _client(channel).ask_soon("files.delete", _query(channel, path), Ack)
    if answer.problem:
        raise SitewrightError("It was not deleted.", details=answer.problem)
    return Status(204, None)


async def _live(user: User, name: str, role: Role) -> Channel:
    """The channel, if its files can be edited. Raises ConflictError for a released one: releases never change."""
    channel = await sync_to_async(channel_for)(user, name, role)
    if channel.mode != Mode.LIVE.value:
        raise ConflictError(
            "The files of this site cannot be edited here.", details="It runs releases, which never change; deploy instead."
        )
    return channel


def _client(channel: Channel) -> NodeClient:
    return NodeClient(runtime().bus, channel.node)


def _query(channel: Channel, path: str) -> FileQuery:
    if "\0" in path or path.startswith("/") or ".." in path.split("/"):
        raise InvalidValueError(
            "This path leads out of the site's folder.", resolution="Give a path relative to it, like “static/style.css”."
        )
    return FileQuery(site_id=channel.site_id, channel=channel.name, number=channel.site.number, path=path)


def _check_data(data: str) -> None:
    try:
        size = len(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise InvalidValueError("The file's bytes are not in base64.") from error
    if size > MIB:
        raise InvalidValueError("The file is larger than 1 MB.", resolution="Deploy it instead.")
