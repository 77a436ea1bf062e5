"""Pieces of a page that the browser fetches again and again."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

SEEN = "seen"
_AGAIN = "again-goes-here"
_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="[A-Za-z0-9]+"')


def wants_piece(request: HttpRequest, piece: str) -> bool:
    """Whether htmx asks for the element of this id, not for the whole page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == piece


def answer(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The piece, or 204 (which htmx leaves alone) when the browser has it already: focus, menus and selection stay undisturbed."""
    html, mark = drawn(request, template, context)
    return HttpResponse(status=204) if request.GET.get(SEEN) == mark else HttpResponse(html)


def drawn(request: HttpRequest, template: str, context: dict[str, Any]) -> tuple[SafeString, str]:
    """The piece and its fingerprint. In the piece, ``again`` is the query for the next time: what was asked now, and what is seen.

    Tokens against forged requests differ each time and are left out of the fingerprint.
    """
    html = render_to_string(template, {**context, "again": _AGAIN}, request)
    mark = hashlib.sha256(_CSRF.sub("", html).encode()).hexdigest()[:16]
    query = request.GET.copy()
    query[SEEN] = mark
    return mark_safe(html.replace(_AGAIN, escape(query.urlencode()))), mark  # noqa: S308 - rendered by a template just now
