"""The folder of a live site: a list, and a plain editor that notices when somebody else was faster."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from sitewright.bus.messages import FileEntry, FileKind
from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Role
from sitewright.errors import ConflictError, InvalidValueError, UnavailableError
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.sites import files
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_files
from sitewright.manager.sites.views.channel import asked
from sitewright.manager.sites.views.overview import frame


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """The folder in ?folder=, and the file in ?file= or the new one in ?file_name=."""
    _, context = frame(request, name, "files")
    channel = _channel(request, name)
    folder = request.GET.get("folder", "")
    try:
        context |= _folder(channel, folder) | _file(request, channel, folder)
    except UnavailableError as error:
        context |= {"unavailable": error, "folder": folder, "crumbs": crumbs(folder)}
    return render(request, "sites/files.html", context)


def _channel(request: HttpRequest, name: str, role: Role = Role.VIEWER) -> Channel:
    return asked(request, name, role)


def _folder(channel: Channel, folder: str) -> dict[str, Any]:
    entries = sorted(files.list_folder(channel, folder).entries, key=lambda entry: (entry.kind is not FileKind.FOLDER, entry.name.lower()))
    return {"folder": folder, "crumbs": crumbs(folder), "entries": [_entry(folder, entry) for entry in entries]}


def _entry(folder: str, entry: FileEntry) -> dict[str, Any]:
    return {"name": entry.name, "kind": entry.kind.value, "size": entry.size, "path": f"{folder}/{entry.name}".lstrip("/")}


def crumbs(folder: str) -> list[dict[str, str]]:
    """The way from the uppermost folder to this one."""
    parts = PurePosixPath(folder).parts
    return [{"name": "Files", "path": ""}] + [{"name": part, "path": "/".join(parts[: index + 1])} for index, part in enumerate(parts)]


def _file(request: HttpRequest, channel: Channel, folder: str) -> dict[str, Any]:
    new = request.GET.get("file_name", "").strip()
    if new:
        return {"file": str(PurePosixPath(folder) / new), "version": "", "text": ""}
    path = request.GET.get("file", "")
    if not path:
        return {}
    data, version = files.read_file(_channel(request, channel.site.name, Role.DEVELOPER), path)
    try:
        return {"file": path, "version": version, "text": data.decode()}
    except UnicodeDecodeError:
        return {"file": path, "version": version, "binary": True}


def _to_change(request: HttpRequest, name: str) -> Channel:
    channel = _channel(request, name, Role.DEVELOPER)
    check_files(person(request), channel)
    return channel


@page
@require_POST
def save(request: HttpRequest, name: str) -> HttpResponse:
    """Write the file. When it has changed meanwhile, the person's own text is shown again beside the reason."""
    channel = _to_change(request, name)
    path, text = request.POST.get("path", "").strip(), request.POST.get("text", "").replace("\r\n", "\n")
    try:
        files.write_file(channel, path, text.encode(), request.POST.get("version", ""))
    except (ConflictError, InvalidValueError, UnavailableError) as error:
        return _kept(request, name, error)
    say(request, f"{path} is saved.")
    return redirect(_address(channel, str(PurePosixPath(path).parent), path))


def _kept(request: HttpRequest, name: str, error: ConflictError | InvalidValueError | UnavailableError) -> HttpResponse:
    """The editor with the text that was not saved. After a conflict the version is the newest one, so that saving once more overwrites."""
    _, context = frame(request, name, "files", Role.DEVELOPER)
    channel = _channel(request, name, Role.DEVELOPER)
    path = request.POST.get("path", "").strip()
    folder = _parent(path) if not isinstance(error, InvalidValueError) else ""
    context |= {"file": path, "text": request.POST.get("text", ""), "version": request.POST.get("version", ""), "conflict": error}
    with telling(request):
        context |= _folder(channel, folder)
    context["advice"] = f"Your text is still below. {error.resolution}"
    if isinstance(error, ConflictError):
        context["advice"] = "Your text is still below. Copy what you need and open the file again, or save once more to overwrite it."
        with telling(request):
            context["version"] = files.read_file(channel, path)[1]
    return render(request, "sites/files.html", context, status=409 if isinstance(error, ConflictError) else 400)


@page
@require_POST
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Remove the file."""
    channel = _to_change(request, name)
    path = request.POST.get("path", "")
    with telling(request):
        files.delete_file(channel, path)
        say(request, f"{path} is deleted.")
    return redirect(_address(channel, _parent(path)))


def _parent(path: str) -> str:
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent


def _address(channel: Channel, folder: str, file: str = "") -> str:
    about = "" if channel.name == PRODUCTION else channel.name
    query = {key: value for key, value in (("channel", about), ("folder", "" if folder == "." else folder), ("file", file)) if value}
    return reverse("sites:files", args=[channel.site.name]) + (f"?{urlencode(query)}" if query else "")
