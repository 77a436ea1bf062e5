"""What every vendor's module can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sitewright.manager.repositories.vendors.values import Call, HookEvent, StatusNews, There

Headers = Mapping[str, str]
"""Names in lower case. A header that came twice holds both values, joined by a comma: no form allows that where it matters."""


class Scheme(Protocol):
    """Everything here is a pure function of its arguments."""

    @property
    def reports(self) -> bool:
        """Whether it has an interface for statuses and comments."""
        ...

    @property
    def git_user(self) -> str:
        """The user name that goes with a token when git fetches over HTTPS."""
        ...

    def verify(self, headers: Headers, body: bytes, secret: str, now: float) -> bool:
        """Whether whoever sent this knows *secret*. Takes as long for a wrong signature as for a right one."""
        ...

    def delivery(self, headers: Headers) -> str:
        """The vendor's id of this delivery; "" when there is none that can be used."""
        ...

    def event(self, headers: Headers) -> str:
        """The vendor's word for what happened, at most 60 characters."""
        ...

    def parse(self, event: str, headers: Headers, body: bytes) -> HookEvent:
        """What it says. Never raises: what is not understood is Ignored with the reason."""
        ...

    def pull_ref(self, number: int) -> str:
        """The whole name of the reference that leads to a pull request's newest commit; "" when there are none."""
        ...

    def status(self, there: There, news: StatusNews) -> Call:
        """Say it of the commit."""
        ...

    def comments(self, there: There, number: int) -> Call:
        """The pull request's comments, so that ours can be found."""
        ...

    def comment(self, there: There, number: int, text: str, known: str = "") -> Call:
        """A new comment, or the new text of the one that has the id *known*."""
        ...

    def hook(self, there: There, address: str, secret: str) -> Call:
        """Make a web hook that sends pushes and pull requests to *address*."""
        ...
