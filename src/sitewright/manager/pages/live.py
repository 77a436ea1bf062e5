"""Pieces of a page that the browser fetches again and again."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string

SEEN = "seen"


def wants_piece(request: HttpRequest, piece: str) -> bool:
    """Whether htmx asks for the element of this id, not for the whole page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == piece


def again(request: HttpRequest, mark: str) -> str:
    """The query with which the browser asks for the piece next time: what it asked for now, and what it has seen."""
    query: QueryDict = request.GET.copy()
    query[SEEN] = mark
    return query.urlencode()


def piece(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The piece, or 204 (which htmx leaves alone) when the browser has it already: focus, menus and selection stay undisturbed."""
    mark = mark_of(request, template, context)
    if request.GET.get(SEEN) == mark:
        return HttpResponse(status=204)
    return HttpResponse(render_to_string(template, {**context, "again": again(request, mark)}, request))


def mark_of(request: HttpRequest, template: str, context: dict[str, Any]) -> str:
    """A fingerprint of the piece as this person sees it. The token against forged requests differs each time and is left out."""
    html = render_to_string(template, {**context, "again": "", "csrf_token": ""}, request)
    return hashlib.sha256(html.encode()).hexdigest()[:16]
