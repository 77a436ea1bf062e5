"""How a process type runs and how the router reaches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sitewright.domain.limits import Limits

TAKES_DESCRIPTOR = "exec env LISTEN_PID=$$ "
"""Put before a command whose server takes the engine's listening socket as systemd hands it over."""
BESIDE_SCRIPT = ".sitewright/beside.sh"
LINKS_FIRST = f"sh /app/{BESIDE_SCRIPT}; "
"""Put before all commands of an app that writes beside its code, see the builder's beside.py."""


class Listen(StrEnum):
    """How a web process is reached (design, section 5)."""

    NONE = "none"
    """Nothing listens: a worker."""
    FD = "fd"
    """The engine makes the listening socket and hands it over as descriptor 3 (LISTEN_FDS=1); it outlives a restart of the app."""
    SOCKET = "socket"
    """The app listens on the unix path in $SOCKET."""
    PORT = "port"
    """The app listens on TCP $PORT in its own network; the engine puts a relay between the socket and the port."""
    FASTCGI = "fastcgi"
    """php-fpm listens on the path in $SOCKET; nginx speaks FastCGI to it."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """When an instance counts as ready and as alive. All times in seconds.

    With ``path`` a GET must answer 200–399; without, any HTTP answer to GET / makes it ready (FD, SOCKET, PORT), a connection does for
    FASTCGI.
    """

    path: str = ""
    startup_seconds: float = 60.0
    interval_seconds: float = 30.0
    timeout_seconds: float = 10.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a cron process runs: five fields of crontab(5) or @hourly, @daily, @weekly, @monthly; in an IANA time zone.

    ``overlap``: the next run may begin while the one before still goes on.
    """

    expression: str
    timezone: str = "UTC"
    overlap: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process type of one release: what to run and how to reach it.

    ``command`` is the line of the Procfile; it is the tenant's own words and is given to /bin/sh inside the tenant's sandbox, never
    outside. ``schedule``: it is a cron process, started at those times, ending by itself. ``warm``: a known Python server and its
    arguments (`("gunicorn", "--bind", "fd://3", "app:app")`) that do the same as ``command`` when begun from a parent that has the
    server imported already; () where only the command will do. ``adopts`` (with PORT): it runs Node, which can be made to listen on the
    engine's own socket instead of the port; one that listens on a port all the same is served too.
    """

    type: str
    command: str
    listen: Listen = Listen.NONE
    health: HealthCheck = field(default_factory=HealthCheck)
    schedule: Schedule | None = None
    warm: tuple[str, ...] = ()
    adopts: bool = False

    @property
    def own_words(self) -> str:
        """The command as its owner wrote it."""
        return self.command.removeprefix(LINKS_FIRST).removeprefix(TAKES_DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class ProcessScale:
    """How many copies of a process type are wanted, and what each may use."""

    type: str
    count: int = 1
    limits: Limits = field(default_factory=Limits)
    stop_grace_seconds: float = 10.0
    drain_seconds: float = 30.0
