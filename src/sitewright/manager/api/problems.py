"""Errors as application/problem+json (RFC 9457), for everything below /api/: also 401, 404, 405, 422 and 500."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from sitewright.errors import (
    ConflictError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    QuotaError,
    SitewrightError,
    UnavailableError,
)
from sitewright.manager.accounts.services import TooOftenError, WrongPasswordError

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
PREFIX = "/api/"

_STATUS: tuple[tuple[type[SitewrightError], int], ...] = (
    (TooOftenError, 429),
    (WrongPasswordError, 401),
    (InvalidValueError, 422),
    (NotFoundError, 404),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (QuotaError, 403),
    (UnavailableError, 503),
)

_WORDS = {
    400: ("bad_request", "The request is not understood.", "Check its form against the API's description."),
    401: ("unauthenticated", "You are not signed in.", "Send `Authorization: Bearer <token>`; `sitewright login` makes a token."),
    403: ("forbidden", "This is not allowed.", "From a browser, send the CSRF token; from a program, a token."),
    404: ("not_found", "There is nothing at this address.", "The API's description lists what there is: /api/v1/openapi.json"),
    405: ("method_not_allowed", "This address does not take that method.", "The API's description lists what it takes."),
    413: ("too_large", "What was sent is too large.", "Send less, or use an upload."),
    429: ("too_many", "That was tried too often.", "Wait a few minutes, then try again."),
    500: ("error", "Something went wrong inside the platform.", "Try again in a minute; the platform's log has the request id."),
}


class Unauthenticated(SitewrightError):  # noqa: N818 - named for what it is
    """You are not signed in."""

    code = "unauthenticated"


def status_of(error: SitewrightError) -> int:
    """The HTTP status that says the same."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500 if error.permanent else 502)


def problem(error: SitewrightError, status: int | None = None) -> HttpResponse:
    """The answer for an error."""
    return answer(
        status or status_of(error), {"code": error.code, "title": error.message, "detail": error.details, "resolution": error.resolution}
    )


def standard(status: int, **more: Any) -> HttpResponse:
    """The answer for a status that Django or ninja came to."""
    code, title, resolution = _WORDS.get(status, (f"http_{status}", HTTPStatus(status).phrase, ""))
    return answer(status, {"code": code, "title": title, "detail": "", "resolution": resolution, **more})


def answer(status: int, body: dict[str, Any]) -> HttpResponse:
    """A problem document; ``type`` names the code in a way that never has to resolve."""
    document = {"type": f"urn:sitewright:problem:{body['code']}", "status": status, **body}
    return HttpResponse(json.dumps(document), status=status, content_type=CONTENT_TYPE)


def unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer for an error nobody foresaw: the log gets the traceback, the person the request id."""
    log.error("request.failed", exc_info=error, extra={"path": request.path, "request_id": getattr(request, "request_id", "")})
    return standard(500, request_id=getattr(request, "request_id", ""))


def _improved(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Whatever failed below /api/ without saying it in our form, says it now."""
    if response.status_code < 400 or not request.path.startswith(PREFIX):
        return response
    if response.headers.get("Content-Type", "").startswith(CONTENT_TYPE):
        return response
    better = standard(response.status_code)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in response.headers:
            better.headers[name] = response.headers[name]
    return better


def not_there(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view
    """Every address below /api/ that is none."""
    raise Http404


@sync_and_async_middleware
def problem_answers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware around everything: no HTML error page below /api/."""
    if iscoroutinefunction(get_response):

        async def passing(request: HttpRequest) -> HttpResponseBase:
            waiting: Awaitable[HttpResponseBase] = get_response(request)
            return _improved(request, await waiting)

        return markcoroutinefunction(passing)

    def through(request: HttpRequest) -> HttpResponseBase:
        return _improved(request, get_response(request))

    return through
