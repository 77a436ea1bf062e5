"""How a view is a page: signed in, and every error told in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from sitewright.errors import (
    ConflictError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    QuotaError,
    SitewrightError,
    UnavailableError,
)
from sitewright.manager.accounts.models import User

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)

STATUSES: tuple[tuple[type[SitewrightError], int], ...] = (
    (NotFoundError, 404),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (QuotaError, 409),
    (InvalidValueError, 400),
    (UnavailableError, 503),
)


def status_of(error: SitewrightError) -> int:
    """The HTTP status that says what the error says."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def page(view: Callable[Concatenate[HttpRequest, P], R]) -> Callable[Concatenate[HttpRequest, P], R | HttpResponse]:
    """Only for people who are signed in; a SitewrightError becomes a page that says what happened and what to do."""

    @wraps(view)
    def answered(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> R | HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except SitewrightError as error:
            status = status_of(error)
            return render(request, "error.html", {"status": status, "error": error}, status=status)

    return cast("Callable[Concatenate[HttpRequest, P], R | HttpResponse]", login_required(cast("Any", answered)))


def person(request: HttpRequest) -> User:
    """Who asks; only behind ``page``."""
    assert isinstance(request.user, User)
    return request.user


def say(request: HttpRequest, text: str) -> None:
    """Tell, on the next page, that something went well."""
    messages.success(request, text)


class telling:  # noqa: N801 - reads as a verb: `with telling(request):`
    """A SitewrightError raised within is told on the next page; the view goes on."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, SitewrightError):
            return False
        messages.error(self._request, told(error))
        return True


def told(error: SitewrightError) -> str:
    """An error as a flash message: what happened on the first line, why and what to do on the second."""
    rest = " ".join(part for part in (error.details, error.resolution) if part)
    return f"{error.message}\n{rest}" if rest else error.message
