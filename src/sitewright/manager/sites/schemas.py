"""Sites as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from sitewright.bus.messages import Source
from sitewright.domain.desired import Strategy
from sitewright.domain.states import Mode, Power, SiteState
from sitewright.manager.operations.schemas import OperationOut
from sitewright.manager.sites.schemas_running import CanaryOut, SleepOut

SOURCE_EXAMPLES = [
    {"kind": "template", "name": "flask"},
    {"kind": "git", "url": "https://example.org/alice/notes.git", "ref": "main"},
    {"kind": "upload", "digest": "0" * 64, "name": "site.zip"},
]


class SiteIn(Schema):
    """A new site. ``team``: a team's name, your own team without. ``mode`` live runs straight from the folder; released builds releases.
    Without a ``source`` it waits for a first push or deploy."""

    name: str = Field(max_length=300, examples=["guestbook"])
    team: str = ""
    mode: Mode = Mode.RELEASED
    source: Source | None = Field(None, examples=SOURCE_EXAMPLES)


class SitePatch(Schema):
    """A site's new name."""

    name: str = Field(max_length=300, examples=["visitors"])


class DeployIn(Schema):
    """What to deploy and how it takes over. ``canary_percent`` of the requests go to it on trial; without, all at once.
    ``strategy`` holds for this one time. ``replace``: it may come in the place of a release on trial."""

    source: Source = Field(examples=SOURCE_EXAMPLES)
    canary_percent: float | None = Field(None, gt=0, lt=100, examples=[10])
    strategy: Strategy | None = None
    replace: bool = False


class ChannelOut(Schema):
    """A channel. ``generation`` is what is wanted, ``applied`` what its node has done; ``problem`` says why that lags."""

    id: str
    name: str
    mode: Mode
    power: Power
    generation: int
    applied: int
    problem: str
    node: str
    hosts: list[str]
    urls: list[str]
    release: int | None
    sleep: SleepOut
    canary: CanaryOut | None
    last_request_at: datetime | None


class GitOut(Schema):
    """Where its code is pushed and fetched. ``ssh`` is "" where the platform has no SSH door."""

    ssh: str
    https: str
    default_branch: str


class SiteOut(Schema):
    """A site. ``release`` is the number of the release that visitors get; ``operation`` is what is queued or under way."""

    id: str
    name: str
    team: str
    state: SiteState
    mode: Mode
    url: str
    release: int | None
    created_at: datetime
    channel: ChannelOut
    git: GitOut
    operation: OperationOut | None


class SiteList(Schema):
    """A page of sites, by name."""

    items: list[SiteOut]
    next: str | None


class SiteAccepted(Schema):
    """202: the site is there, its first deploy has begun; no ``operation`` when it has no source yet."""

    site: SiteOut
    operation: OperationOut | None


class EnvValueIn(Schema):
    """A variable's value. A secret one can be replaced but never read again."""

    value: str
    secret: bool = False


class EnvPatch(Schema):
    """Variables to set and to unset, in one go."""

    set: dict[str, EnvValueIn] = Field(default_factory=dict, examples=[{"API_KEY": {"value": "…", "secret": True}}])
    unset: list[str] = Field(default_factory=list)


class EnvOut(Schema):
    """A variable. ``value`` is null when it is secret, or when your role is viewer."""

    name: str
    value: str | None
    secret: bool


class EnvList(Schema):
    """All variables of the production channel, by name."""

    items: list[EnvOut]
    next: str | None


class InstanceOut(Schema):
    """One running copy, as its node last reported it."""

    id: str
    process: str
    state: str
    since: datetime
    node: str
    memory_bytes: int
    cpu_seconds: float
    restarts: int
    reason: str


class InstanceList(Schema):
    """What runs."""

    items: list[InstanceOut]
    next: str | None


class EventOut(Schema):
    """One line of the timeline. ``who`` is "" for the platform itself."""

    id: str
    kind: str
    at: datetime
    text: str
    who: str
    operation: str


class EventList(Schema):
    """A page of the timeline, newest first."""

    items: list[EventOut]
    next: str | None


class FileOut(Schema):
    """An entry of a folder. ``kind``: file, folder, link, other."""

    name: str
    kind: str
    size: int
    modified: float
    executable: bool


class FileList(Schema):
    """A folder's entries, by name."""

    items: list[FileOut]
    next: str | None


class FileBody(Schema):
    """A file: its bytes in base64 (at most 1 MiB) and its version. Send the version you read; "" makes a new file."""

    data: str = Field(max_length=1_400_000)
    version: str = ""
