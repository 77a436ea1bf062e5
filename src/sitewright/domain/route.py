"""Routes: what the router must serve for a channel, as values. sitewright.router.table turns them into folders and symlinks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sitewright.domain.limits import UNLIMITED_VISITS, VisitLimits
from sitewright.domain.pages import NO_RULES, PageRules

SLOTS = 16


class Affinity(StrEnum):
    """Which requests stay with one instance; only 1/n of them move when the number of instances changes."""

    NONE = "none"
    HOST = "host"
    """All visitors of one host name."""
    COOKIE = "cookie"
    """One browser, by a cookie that the router sets."""
    ADDRESS = "address"
    """One client address."""


class Presence(StrEnum):
    """What a visitor finds when no instance answers: decides the page that nginx shows."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    CRASHED = "crashed"
    ASLEEP = "asleep"
    """Nobody is there, and whoever comes wakes it and is served."""


@dataclass(frozen=True, slots=True)
class ChannelRoute:
    """Everything the router needs for one channel.

    ``sockets``: unix sockets of the ready instances: 16, one a slot, or fewer, which are spread over the slots in order.
    ``public``: folder that nginx serves itself, before the app is asked; None for none. ``fallback``: file below ``public`` for
    unknown paths of a static site (200), "" for none.
    ``fastcgi_root``: for PHP, the document root as php-fpm sees it (`/app/public`), "" when the sockets speak HTTP.
    ``changeable``: the site can put something else in ``public``'s own place while it is served (a folder inside a live one).
    """

    channel_id: str
    hosts: tuple[str, ...]
    sockets: tuple[Path, ...] = ()
    public: Path | None = None
    fallback: str = ""
    fastcgi_root: str = ""
    presence: Presence = Presence.RUNNING
    changeable: bool = False
    affinity: Affinity = Affinity.NONE
    visits: VisitLimits = UNLIMITED_VISITS
    rules: PageRules = NO_RULES


def spread(sockets: tuple[Path, ...]) -> tuple[Path, ...]:
    """Which socket each of the 16 slots points to: as even as can be, in order; empty when there is no socket."""
    if not sockets:
        return ()
    return tuple(sockets[slot % len(sockets)] for slot in range(SLOTS))
