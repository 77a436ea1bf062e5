"""Connections, deliveries and previews as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from sitewright.domain.channel import Previews
from sitewright.manager.operations.schemas import OperationOut
from sitewright.manager.repositories.models import Vendor


class ConnectionIn(Schema):
    """Which repository a site takes its code from. ``vendor`` is found out from the address when it is left out; ``branch`` is what
    production follows, the repository's default branch without. ``token`` "" keeps the one that is there. ``api_url`` is for servers whose
    interface is not where it usually is. ``new_secret``: the web hook gets another address and secret."""

    url: str = Field(max_length=500, examples=["https://example.org/alice/notes.git"])
    vendor: Vendor | None = None
    token: str = Field("", max_length=4000)
    branch: str = Field("", max_length=200, examples=["main"])
    api_url: str = Field("", max_length=500)
    known_hosts: str = Field("", max_length=20_000)
    reports: bool = True
    new_secret: bool = False


class HookOut(Schema):
    """The web hook: its address is "" for viewers; its secret is there only in the answer that made it."""

    url: str
    secret: str = ""
    made: bool
    """Whether the platform has made it over there itself."""
    events: list[str]


class ConnectionOut(Schema):
    """A connection. ``deploy_key`` is the public half, to be pasted over there; ``problem`` says why the last fetch failed."""

    url: str
    vendor: Vendor
    project: str
    api_url: str
    token: bool
    """Whether there is one."""
    deploy_key: str
    known_hosts: str
    reports: bool
    branch: str
    """What production follows."""
    hook: HookOut
    fetched_at: datetime | None
    problem: str
    operation: OperationOut | None


class DeliveryOut(Schema):
    """One event that a web hook has brought, and what became of it. ``again_of``: it was acted upon again by hand."""

    id: str
    delivery: str
    event: str
    summary: str
    outcome: str
    detail: str
    operation: str | None
    again_of: str | None
    received_at: datetime


class DeliveryList(Schema):
    """A page of deliveries, newest first."""

    items: list[DeliveryOut]
    next: str | None


class PreviewOut(Schema):
    """A pull request, or a branch (``number`` null), and its preview. ``waits``: it comes from a fork, and its newest commit was not
    allowed yet. ``url`` is the preview's address, "" while there is none; ``link`` leads to the pull request."""

    id: str
    number: int | None
    branch: str
    title: str
    author: str
    link: str
    commit: str
    fork: bool
    waits: bool
    allowed_by: str
    state: str
    channel: str
    url: str
    expires_at: datetime | None
    changed_at: datetime


class PreviewList(Schema):
    """A page of previews, newest first."""

    items: list[PreviewOut]
    next: str | None
    makes: Previews
    days: int


class PreviewsIn(Schema):
    """Of what previews are made, and after how many days without news they go."""

    makes: Previews | None = None
    days: int | None = Field(None, ge=1, le=365)


class AllowIn(Schema):
    """Which commit was looked at: a newer one, that came meanwhile, is then not allowed with it."""

    commit: str = Field("", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")
