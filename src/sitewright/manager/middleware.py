"""What every request and answer passes through: a request id, and a content security policy without inline scripts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from sitewright.domain.identity import new_id

GetResponse = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _identify(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
    request.request_id = request_id  # type: ignore[attr-defined]
    return request_id


@sync_and_async_middleware
def request_identity(get_response: GetResponse) -> GetResponse:
    """Take the router's request id, or make one, and give it back with the answer."""
    return _around(get_response, before=_identify, header="X-Request-ID")


@sync_and_async_middleware
def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Scripts and styles from our own files only."""
    return _around(get_response, before=lambda _request: POLICY, header="Content-Security-Policy")


def _around(get_response: GetResponse, *, before: Callable[[HttpRequest], str], header: str) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def passing(request: HttpRequest) -> HttpResponseBase:
            value = before(request)
            response: HttpResponseBase = await get_response(request)
            response.headers.setdefault(header, value)
            return response

        return markcoroutinefunction(passing)

    def through(request: HttpRequest) -> HttpResponseBase:
        value = before(request)
        response: HttpResponseBase = get_response(request)  # type: ignore[assignment]
        response.headers.setdefault(header, value)
        return response

    return through
