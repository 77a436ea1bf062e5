"""Sources, builds, what they made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sitewright.bus.messages.base import Message
from sitewright.domain.release import Blueprint
from sitewright.domain.states import BuildState


class UploadSource(Message):
    """An archive (zip, tar, tar.gz, tar.xz, tar.bz2) that the manager put into <home>/uploads/<digest>."""

    kind: Literal["upload"] = "upload"
    digest: str
    name: str = ""


class GitSource(Message):
    """A git address (https://, http://, or file:// only for tests) and a branch, tag or commit ("" is the default branch)."""

    kind: Literal["git"] = "git"
    url: str
    ref: str = ""


class TemplateSource(Message):
    """A template that ships with the platform, by name."""

    kind: Literal["template"] = "template"
    name: str


class FolderSource(Message):
    """The channel's live folder as it is: what `live` mode builds, in place."""

    kind: Literal["folder"] = "folder"


class CommitSource(Message):
    """A commit of the site's own repository. ``branch`` ("" for none) is moved to it by the operation, once it is live."""

    kind: Literal["commit"] = "commit"
    commit: str
    branch: str = ""


class ImageSource(Message):
    """A container image that exists already: `registry.example.org/name:tag` or `…@sha256:…`."""

    kind: Literal["image"] = "image"
    reference: str


Source = Annotated[UploadSource | GitSource | TemplateSource | FolderSource | CommitSource | ImageSource, Field(discriminator="kind")]


class Author(Message):
    """Who a commit of the platform's is by, and what it says."""

    name: str
    email: str
    message: str


class BuildRequest(Message):
    """Start (or learn about) a build; the same id asked again returns its state and starts nothing.

    ``mode`` live: the source is laid into the channel's folder and prepared there, no droplet is made.
    ``release_number``: where the built tree is put ready when ``mode`` is released.
    """

    build_id: str
    site_id: str
    number: int
    channel_id: str
    channel: str
    mode: Literal["live", "released"]
    source: Source
    release_number: int = 0
    env: tuple[tuple[str, str], ...] = ()
    quota_bytes: int = 0
    """Upper bound of the built tree; 0 is none."""
    team_id: str = ""
    weight: int = 100
    """Of the team's builds in the queue, against other teams' (100 is usual)."""
    secrets: tuple[str, ...] = ()
    """Names of variables in ``env`` whose values must neither stay in the tree nor be shown in the log."""
    record: Author | None = None
    """The source is not from git: keep it as a commit of the site's repository too, on top of ``record_parent``."""
    record_parent: str = ""
    foreign: bool = False
    """The code is from outside of the team (the preview of a fork): it shares no cache with the site's other channels."""


class BuildStatus(Message):
    """How a build is doing. ``blueprint``, ``droplet`` and sizes are there when it has succeeded; ``error`` parts when it has failed."""

    build_id: str
    state: BuildState
    phase: str = ""
    position: int = 0
    wait_seconds: float = 0.0
    """While it waits: how long that will be, as far as one can tell from builds before."""
    started_at: float = 0.0
    finished_at: float = 0.0
    droplet: str = ""
    size_bytes: int = 0
    blueprint: Blueprint | None = None
    commit: str = ""
    problem: str = ""
    details: str = ""
    resolution: str = ""


class BuildQuery(Message):
    """Which build."""

    build_id: str


class Component(Message):
    """One thing that was installed: `flask` 3.0.3 from `pypi`; ``purl`` is its package URL."""

    name: str
    version: str
    purl: str = ""
    origin: str = ""
    """The address or index that it came from, without credentials."""
    digest: str = ""


class Artefacts(Message):
    """What a build put together: what was installed and from where. ``complete``: nothing is known to be missing."""

    build_id: str
    components: tuple[Component, ...] = ()
    complete: bool = True


class BuildSearch(Message):
    """Lines of one build's log that hold ``text`` (case ignored), at most ``limit``."""

    build_id: str
    text: str
    limit: int = 200
    cursor: str = ""
    """Where the search before this one ended; "" is the beginning."""


class CacheQuery(Message):
    """The caches of one site. ``clear``: delete them."""

    site_id: str
    number: int
    clear: bool = False


class CacheReport(Message):
    """What they take, in bytes, by kind (`dependencies`, `uv`, `npm` …); ``limit_bytes`` is where the oldest goes."""

    bytes: dict[str, int] = Field(default_factory=dict)
    limit_bytes: int = 0
