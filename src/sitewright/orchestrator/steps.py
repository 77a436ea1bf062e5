"""What a plan is made of: each step is one small thing that apply does. All are safe to do twice."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.route import ChannelRoute
from sitewright.orchestrator.model import Crash, Hook, Instance, Serving, Wanted


@dataclass(frozen=True, slots=True)
class Start:
    """Start one new copy. ``index`` numbers the copies of a process type from 1."""

    wanted: Wanted
    index: int


@dataclass(frozen=True, slots=True)
class Stop:
    """TERM, grace, KILL, in the background."""

    instance: Instance
    grace_seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Evacuate:
    """Give it no new requests; it is stopped once it has drained."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget an ended instance."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Probe:
    """Look whether it answers, in the background."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class MarkReady:
    """It counts as ready from now on (a process that listens to nobody)."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class NoteCrash:
    """Remember the crash and tell the owner."""

    instance: Instance
    crash: Crash


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Let the router serve this."""

    route: ChannelRoute


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Let the router forget the channel."""


@dataclass(frozen=True, slots=True)
class NoteServing:
    """Remember which release visitors get."""

    serving: Serving


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run the release command, in the background."""

    wanted: Wanted
    hook: Hook


@dataclass(frozen=True, slots=True)
class EnsureTree:
    """Get the release's files onto this disk, in the background."""


@dataclass(frozen=True, slots=True)
class NoteApplied:
    """The generation is fully in effect."""

    generation: int


@dataclass(frozen=True, slots=True)
class DeleteFiles:
    """Delete what the channel had on disk, in the background."""

    desired: DesiredChannel


Step = (
    Start
    | Stop
    | Evacuate
    | Remove
    | Probe
    | MarkReady
    | NoteCrash
    | SetRoute
    | RemoveRoute
    | NoteServing
    | RunHook
    | EnsureTree
    | NoteApplied
    | DeleteFiles
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order to do them, why it does not go on ("" while it does), and when to plan again at the latest."""

    steps: tuple[Step, ...] = ()
    problem: str = ""
    next_at: float | None = None
