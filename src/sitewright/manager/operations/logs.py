"""The log of an operation's build."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from sitewright.errors import NotFoundError
from sitewright.manager.operations.access import operation_for
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.present import card
from sitewright.manager.pages.output import as_file, streamed
from sitewright.manager.pages.view import page, person
from sitewright.manager.releases.access import builds_for
from sitewright.manager.releases.models import Build
from sitewright.manager.sites import logs


def build_of(request: HttpRequest, operation: Operation) -> Build | None:
    """The operation's build, as far as the person may see it."""
    return builds_for(person(request)).filter(id=card(operation).build).distinct().first()


def _log(request: HttpRequest, operation_id: str) -> logs.LogSource:
    build = build_of(request, operation_for(person(request), operation_id))
    if build is None:
        raise NotFoundError("This operation has no build log.")
    return logs.build_log(build)


@page
@require_GET
def stream(request: HttpRequest, operation_id: str) -> HttpResponseBase:
    """Lines as server-sent events."""
    return streamed(request, _log(request, operation_id))


@page
@require_GET
def download(request: HttpRequest, operation_id: str) -> HttpResponse:
    """All lines as text."""
    return as_file(_log(request, operation_id), f"build-{operation_id}.log")
