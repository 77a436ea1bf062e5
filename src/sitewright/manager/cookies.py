"""Cookies that a neighbour has planted: a site at NAME.<domain> can set cookies for <domain>, which browsers then send to us as well.

Behind TLS the names begin with `__Host-`, and browsers refuse such cookies from anybody but us. Without it two of one name are a sign:
neither is believed, and the planted ones are deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


def names() -> tuple[str, str]:
    """Of the cookies that say who somebody is."""
    return settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME


def without_doubles(header: str) -> tuple[str, tuple[str, ...]]:
    """A Cookie header without the cookies of ours that are in it more than once, and their names."""
    parts = [part.strip() for part in header.split(";")]
    found = [part.partition("=")[0].strip() for part in parts]
    doubled = tuple(name for name in names() if found.count(name) > 1)
    kept = (part for part, name in zip(parts, found, strict=True) if name not in doubled)
    return "; ".join(kept), doubled


def deletions(doubled: tuple[str, ...], path: str) -> Iterator[Morsel[str]]:
    """Set-Cookie headers that delete them, wherever above our host and *path* somebody may have put them."""
    labels = settings.PLATFORM.manager_host.split(".")
    parts = path.split("/")
    prefixes = {"/".join(parts[:end]) or "/" for end in range(1, len(parts) + 1)}
    prefixes |= {f"{prefix.rstrip('/')}/" for prefix in prefixes}
    for name in doubled:
        for start in range(1, len(labels)):
            for prefix in sorted(prefixes):
                cookie: SimpleCookie = SimpleCookie({name: ""})
                cookie[name].update({"domain": ".".join(labels[start:]), "path": prefix, "max-age": "0"})
                yield cookie[name]


@sync_and_async_middleware
def no_planted_cookies(get_response: Any) -> Any:
    """Middleware: what is sent twice is not believed, and is deleted."""
    if iscoroutinefunction(get_response):

        async def passing(request: HttpRequest) -> HttpResponseBase:
            doubled = _clean(request)
            return _answered(request, await get_response(request), doubled)

        return markcoroutinefunction(passing)

    def through(request: HttpRequest) -> HttpResponseBase:
        doubled = _clean(request)
        return _answered(request, get_response(request), doubled)

    return through


def _clean(request: HttpRequest) -> tuple[str, ...]:
    header = request.META.get("HTTP_COOKIE", "")
    if sum(header.count(name) for name in names()) < 2:
        return ()
    request.META["HTTP_COOKIE"], doubled = without_doubles(header)
    return doubled


def _answered(request: HttpRequest, response: HttpResponseBase, doubled: tuple[str, ...]) -> HttpResponseBase:
    for number, deletion in enumerate(deletions(doubled, request.path[:200])):
        # Kept under names that nobody has: these differ in domain and path only.
        response.cookies[f"planted{number}"] = deletion
    return response
