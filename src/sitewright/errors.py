"""One root error for everything a person may be told.

An error says what happened (message), why (details), what to do next (resolution), and whether trying again could help
(permanent). A class's docstring is its default message.
"""

from __future__ import annotations

import inspect


class SitewrightError(Exception):
    """Something went wrong."""

    code: str = "error"
    permanent: bool = True
    exit_code: int = 1

    def __init__(self, message: str = "", *, details: str = "", resolution: str = "") -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "Something went wrong.").splitlines()[0]
        self.details = details
        self.resolution = resolution
        super().__init__(self.message)

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.details, self.resolution) if part)


class InvalidValueError(SitewrightError, ValueError):
    """A value is not allowed here."""

    code = "invalid"
    exit_code = 2


class NotFoundError(SitewrightError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"
    exit_code = 4


class ForbiddenError(SitewrightError):
    """Your role does not allow this."""

    code = "forbidden"
    exit_code = 5


class ConflictError(SitewrightError):
    """Somebody or something else changed this at the same time."""

    code = "conflict"
    exit_code = 6


class QuotaError(SitewrightError):
    """The team's quota is used up."""

    code = "quota"
    exit_code = 7


class UnavailableError(SitewrightError):
    """A part of the platform does not answer; trying again may help."""

    code = "unavailable"
    permanent = False
    exit_code = 8


class BuildError(SitewrightError):
    """The build failed."""

    code = "build_failed"
    exit_code = 9


class EngineError(SitewrightError):
    """The engine could not do what was asked."""

    code = "engine"
    permanent = False


class PreflightError(SitewrightError):
    """This machine is not ready."""

    code = "preflight"
    exit_code = 10
