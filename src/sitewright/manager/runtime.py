"""What one manager process has: clock, bus, doorbell, changes, handlers. Set once at start, by tests each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sitewright.manager.operations.changes import Changes
from sitewright.manager.operations.doorbell import Doorbell, SilentDoorbell
from sitewright.system.clock import Clock, SystemClock

if TYPE_CHECKING:
    from sitewright.domain.operation import OperationKind
    from sitewright.manager.bus import BusThread
    from sitewright.manager.operations.handlers import Handler


@dataclass(frozen=True)
class Runtime:
    """The parts of the process. ``bus`` is None where nobody talks to nodes (setup, a shell)."""

    clock: Clock = field(default_factory=SystemClock)
    doorbell: Doorbell = field(default_factory=SilentDoorbell)
    bus: BusThread | None = None
    changes: Changes = field(default_factory=Changes)

    @property
    def handlers(self) -> Mapping[OperationKind, Handler]:
        """The handler of each kind of operation."""
        from sitewright.manager.operations.registry import all_handlers  # noqa: PLC0415 - handlers know every app

        return all_handlers()


class _Holder:
    current = Runtime()


def runtime() -> Runtime:
    """This process's parts."""
    return _Holder.current


def install(new: Runtime) -> Runtime:
    """Make *new* this process's parts; the former ones are returned."""
    former, _Holder.current = _Holder.current, new
    return former
