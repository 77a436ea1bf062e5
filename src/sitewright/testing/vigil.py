"""Watches a planner in simulations: what must never happen at any step, and where the planner is to be killed."""

from __future__ import annotations

from collections import Counter

from sitewright.domain.desired import Strategy
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import INSTANCE_TRANSITIONS, InstanceState
from sitewright.engines.base import InstanceSpec
from sitewright.orchestrator import steps
from sitewright.orchestrator.model import Instance
from sitewright.orchestrator.steps import Step
from sitewright.testing.orchestra import CHANNEL_ID, Machine

RESULTS: dict[type[Step], InstanceState] = {
    steps.Evacuate: InstanceState.EVACUATING,
    steps.MarkReady: InstanceState.READY,
    steps.Trust: InstanceState.READY,
    steps.Freeze: InstanceState.FROZEN,
    steps.Thaw: InstanceState.READY,
    steps.Stop: InstanceState.STOPPING,
    steps.Remove: InstanceState.GONE,
}


class KilledError(BaseException):
    """The planner's process ends here, as with kill -9: nobody catches it."""


class Vigil:
    """Sees every step before it is done and every start of the engine: checks each, and ends the planner at the one it is told to."""

    def __init__(self, machine: Machine, shortest_idle: float) -> None:
        self.machine = machine
        self.shortest_idle = shortest_idle
        """Nobody may fall asleep so many seconds after a visitor."""
        self.fuse: int | None = None
        """After how many more steps or starts the planner ends; None is never."""
        self.last_visit = 0.0
        self.due = 0.0
        self.runs: Counter[float] = Counter()
        self.wrong: list[str] = []
        """What must never happen and did: raised by the test, because the loop takes an exception for a site's trouble and goes on."""

    def check(self, held: bool, words: str) -> None:
        """Note *words* unless it held."""
        if not held:
            self.wrong.append(words)

    def burn(self) -> None:
        """One step nearer to the end."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise KilledError

    def step(self, step: Step) -> None:
        """Told of each step before it is done."""
        self.burn()
        result = RESULTS.get(type(step))
        if result is not None and not (result is InstanceState.STOPPING and _instance(step).unattended):
            legal = result in INSTANCE_TRANSITIONS[_instance(step).state]
            self.check(legal, f"{_instance(step).state} → {result}")
        match step:
            case steps.Freeze(instance):
                self.check(not self.machine.connected.get(instance.id), "somebody was connected to what was frozen")
            case steps.NoteSleep(SleepStage.DOZING):
                self._may_doze()
            case steps.StartRun():
                self.due = step.look.due
            case steps.Start(wanted) if wanted.spec.type == "web":
                self._room()

    def _may_doze(self) -> None:
        idle = self.machine.clock.steady() - self.last_visit
        self.check(idle >= self.shortest_idle, f"asleep {idle} s after a visitor")
        told = self.machine.orchestrator.store.get(CHANNEL_ID)
        assert told is not None, "what is not wanted takes no steps"
        self.check(told.sleep.sleeps, "an always-on channel fell asleep")
        self.check(told.canary is None, "a release on trial fell asleep")

    def _room(self) -> None:
        """At most max_surge more than wanted at any moment, those that are leaving not counted."""
        told = self.machine.orchestrator.store.get(CHANNEL_ID)
        assert told is not None, "what is not wanted takes no steps"
        memory = self.machine.orchestrator.tools.memories.of(CHANNEL_ID)
        if told.strategy is not Strategy.ROLLING or told.canary is not None or memory.trial is not None:
            return
        live = 0
        for held in self.machine.world.held.values():
            own = memory.instances.get(held.spec.id)
            leaving = own is not None and (own.told_to_stop or own.evacuating_since is not None)
            live += held.spec.process == "web" and held.exit is None and not leaving
        count = told.scale_of("web").count
        self.check(live < count + told.max_surge or live < count, f"{live} were there already of {count} (+{told.max_surge})")

    def started(self, spec: InstanceSpec) -> None:
        """Told of each instance that the engine has started."""
        if spec.process == "cron-tidy":
            self.runs[self.due] += 1
            self.check(self.runs[self.due] == 1, "one due time, two runs")
            others = [h for h in self.machine.world.held.values() if h.spec.process == "cron-tidy" and h.exit is None]
            self.check(len(others) <= 1, "two runs at a time")


def _instance(step: Step) -> Instance:
    """Whom a step of ``RESULTS`` is about."""
    found: Instance = getattr(step, "instance")  # noqa: B009 - not every step has one
    return found
