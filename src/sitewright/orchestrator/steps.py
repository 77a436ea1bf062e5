"""What a plan is made of: each step is one small thing that apply does. All are safe to do twice."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.route import ChannelRoute
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import Mode
from sitewright.orchestrator.canary import Trial
from sitewright.orchestrator.cron import CronState, Look
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
    """Get a release's files onto this disk, in the background: those of the one on trial, or of the channel's own."""

    trial: bool = False


@dataclass(frozen=True, slots=True)
class NoteApplied:
    """The generation is fully in effect."""

    generation: int


@dataclass(frozen=True, slots=True)
class DeleteFiles:
    """Delete what the channel had on disk, in the background."""

    desired: DesiredChannel


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop its clock; it keeps its memory."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let it go on."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Trust:
    """It counts as ready before it has answered: it did so quickly the last time, and requests wait in its socket."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class NoteSleep:
    """The channel is in this stage from now on. ``shape``: see ``Sleep``."""

    stage: SleepStage
    shape: str = ""


@dataclass(frozen=True, slots=True)
class NoteVisit:
    """Somebody is there: the idle clock begins anew."""


@dataclass(frozen=True, slots=True)
class NoteDeath:
    """It ended while it was frozen: nothing is wrong with the app, the next visitor starts it anew."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class NoteSlots:
    """Remember who holds each of the 16 slots."""

    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoteTrial:
    """Remember how the release on trial does; None: there is none any more. ``kind``, ``text``: for the timeline."""

    trial: Trial | None
    kind: EventKind | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class NoteCron:
    """Remember, on disk, what has become of a cron process, and tell the timeline. ``forget``: there is no such process any more."""

    state: CronState
    said: tuple[tuple[EventKind, str], ...] = ()
    forget: bool = False


@dataclass(frozen=True, slots=True)
class StartRun:
    """Begin a run of a cron process: that it was due is on disk before it is started."""

    wanted: Wanted
    index: int
    look: Look
    mode: Mode


@dataclass(frozen=True, slots=True)
class EndRun:
    """A run has ended: tell how, and remember it, on disk. ``state``: as it is from now on."""

    instance: Instance
    state: CronState
    kind: EventKind
    text: str


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
    | Freeze
    | Thaw
    | Trust
    | NoteSleep
    | NoteDeath
    | NoteVisit
    | NoteSlots
    | NoteTrial
    | NoteCron
    | StartRun
    | EndRun
)


LOOK_AGAIN = (
    Start,
    Remove,
    Evacuate,
    MarkReady,
    NoteCrash,
    NoteServing,
    NoteSleep,
    NoteTrial,
    NoteVisit,
    StartRun,
    Thaw,
    Trust,
)
"""Steps after which there is at once something new to plan; those that go on in the background wake the loop when they end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order to do them, why it does not go on ("" while it does), and when to plan again at the latest."""

    steps: tuple[Step, ...] = ()
    problem: str = ""
    next_at: float | None = None
