"""/sites/{name}/files: the folder of a live channel. The node opens nothing outside it; here only the form is checked."""

from __future__ import annotations

import base64
import binascii

from django.http import HttpRequest
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.domain.states import Role
from sitewright.errors import InvalidValueError
from sitewright.manager.api.auth import person
from sitewright.manager.sites import files
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.files import LONGEST_PATH
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_files
from sitewright.manager.sites.schemas import FileBody, FileList, FileOut

router = Router(tags=["files"])


@router.get("/{name}/files", response=FileList, operation_id="listFiles")
def list_files(request: HttpRequest, name: str, path: str = Query("", max_length=LONGEST_PATH), channel: str = CHANNEL) -> FileList:
    """The entries of a folder; "" is the site's own."""
    listing = files.list_folder(asked_channel(request, name, channel), path)
    items = [
        FileOut(name=one.name, kind=one.kind.value, size=one.size, modified=one.modified, executable=one.executable)
        for one in listing.entries
    ]
    return FileList(items=items, next=None)


@router.get("/{name}/files/content", response=FileBody, operation_id="readFile")
def read_file(request: HttpRequest, name: str, path: str = Query(..., max_length=LONGEST_PATH), channel: str = CHANNEL) -> FileBody:
    """A file of at most 1 MiB."""
    data, version = files.read_file(asked_channel(request, name, channel, Role.DEVELOPER), path)
    return FileBody(data=base64.b64encode(data).decode(), version=version)


@router.put("/{name}/files/content", response=FileBody, operation_id="writeFile")
def write_file(
    request: HttpRequest, name: str, body: FileBody, path: str = Query(..., max_length=LONGEST_PATH), channel: str = CHANNEL
) -> FileBody:
    """Write a whole file. 409 when somebody else has changed it since you read it."""
    row = _to_change(request, name, channel)
    return FileBody(data="", version=files.write_file(row, path, _bytes(body.data), body.version))


@router.delete("/{name}/files/content", response={204: None}, operation_id="deleteFile")
def delete_file(request: HttpRequest, name: str, path: str = Query(..., max_length=LONGEST_PATH), channel: str = CHANNEL) -> Status[None]:
    """Delete a file or a folder with all in it."""
    files.delete_file(_to_change(request, name, channel), path)
    return Status(204, None)


def _to_change(request: HttpRequest, name: str, channel: str) -> Channel:
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    check_files(person(request), row)
    return row


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise InvalidValueError("The file's bytes are not in base64.") from error
