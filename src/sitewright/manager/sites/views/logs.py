"""A site's output: what is there, what comes, and all of it as a file."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.names import ProcessType
from sitewright.manager.pages.output import as_file, shown, streamed
from sitewright.manager.pages.view import page
from sitewright.manager.sites import logs
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.views.channel import asked
from sitewright.manager.sites.views.overview import frame

DOWNLOAD_LINES = logs.MOST_LINES


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """The last lines, and more as they come."""
    _, context = frame(request, name, "logs")
    channel, process = _asked(request, name)
    blueprint = channel.release.blueprint if channel.release else {}
    about = {} if channel.name == PRODUCTION else {"channel": channel.name}
    context |= shown(logs.channel_log(channel, process), reverse("sites:logs-stream", args=[name]), process=process, **about)
    context |= {"process": process, "processes": [one["type"] for one in blueprint.get("processes", ())]}
    return render(request, "sites/logs.html", context)


@page
@require_GET
def stream(request: HttpRequest, name: str) -> HttpResponseBase:
    """Lines as server-sent events."""
    channel, process = _asked(request, name)
    return streamed(request, logs.channel_log(channel, process))


@page
@require_GET
def download(request: HttpRequest, name: str) -> HttpResponse:
    """The last DOWNLOAD_LINES lines as text."""
    channel, process = _asked(request, name)
    return as_file(logs.channel_log(channel, process, DOWNLOAD_LINES), f"{name}.log")


def _asked(request: HttpRequest, name: str) -> tuple[Channel, str]:
    """The site's channel and the process that is asked for ("" is all). Raises NotFoundError, InvalidValueError."""
    channel = asked(request, name)
    process = request.GET.get("process", "")
    return channel, ProcessType(process) if process else ""
