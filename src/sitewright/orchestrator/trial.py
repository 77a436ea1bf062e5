"""A release on trial, beside the channel's own: how many copies, when it gets its slots, when it is taken out. Pure.

Its web processes alone are tried; workers and cron processes stay those of the channel's own release.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sitewright.domain.desired import Canary, DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.domain.route import SLOTS
from sitewright.domain.states import Mode, Power
from sitewright.orchestrator.canary import Trial, judge
from sitewright.orchestrator.gate import gate_of
from sitewright.orchestrator.model import LIVE_STATES, SERVING_STATES, WEB, Actual, Instance, Tree, Wanted, wanted_of
from sitewright.orchestrator.rollout import Manner, Rollout, roll
from sitewright.orchestrator.steps import NoteTrial, Step


@dataclass
class TrialPlan:
    """What the trial asks for. ``serving``: its copies that are to get ``slots``; ``settled``: nothing of it is on its way."""

    steps: list[Step] = field(default_factory=list)
    serving: list[Instance] = field(default_factory=list)
    slots: int = 0
    settled: bool = True
    next_at: float | None = None
    group: tuple[Instance, ...] = ()

    def others(self, actual: Actual) -> Actual:
        """The channel without the copies on trial."""
        mine = {i.id for i in self.group}
        return replace(actual, instances=tuple(i for i in actual.instances if i.id not in mine)) if mine else actual

    @property
    def indexes(self) -> frozenset[int]:
        """The numbers that its copies have."""
        return frozenset(i.index for i in self.group)


def copies(desired: DesiredChannel, canary: Canary) -> int:
    """How many copies a release on trial gets: its share of the web processes, at least one."""
    return max(1, round(desired.scale_of(WEB).count * canary.slots / SLOTS))


def plan_trial(desired: DesiredChannel, actual: Actual, now: float) -> TrialPlan:
    """What to do about the release on trial, or about what is left of one."""
    if desired.release is None or desired.power is Power.OFF:
        return TrialPlan()
    canary = desired.canary
    if canary is None or canary.release.id == desired.release.id:
        return _forget(desired, actual, now)
    known = actual.trial
    trial = known if known is not None and known.release_id == canary.release.id else Trial(canary.release.id)
    if trial.aborted or desired.scale_of(WEB).count == 0:
        return _take_out(desired, actual, trial.release_id, now)
    reason = _unsuitable(desired, canary)
    if reason:
        return _abort(desired, actual, trial, reason)
    return _try_out(desired, canary, actual, trial, now)


def _try_out(desired: DesiredChannel, canary: Canary, actual: Actual, trial: Trial, now: float) -> TrialPlan:
    fresh = actual.trial is None or actual.trial.release_id != trial.release_id
    tree = Tree(present=actual.trial_tree.present) if fresh else actual.trial_tree
    gate = gate_of(desired, canary.release, tree, actual.hook_of(canary.release.id), now)
    spec = canary.release.blueprint.process(WEB)
    assert spec is not None, "only a release with a web process is tried"
    scale = replace(desired.scale_of(WEB), count=copies(desired, canary))
    group = _group(desired, actual, trial.release_id)
    rollout = _roll(actual, group, wanted_of(desired, canary.release, spec, scale), now, gate=gate.open)
    reason = gate.problem or rollout.problem or judge(trial)
    if reason:
        return _abort(desired, actual, trial, reason)
    steps: list[Step] = [NoteTrial(trial)] if fresh else []
    steps += [*gate.before, *rollout.steps]
    serves = rollout.settled or trial.serving_since > 0
    if rollout.settled and not trial.serving_since:
        # Whoever asked for the trial tells of its beginning, when this is heard of; an end by itself is told here.
        steps.append(NoteTrial(replace(trial, serving_since=now)))
    return TrialPlan(
        steps,
        rollout.serving if serves else [],
        canary.slots,
        rollout.settled,
        min((at for at in (gate.next_at, rollout.next_at) if at is not None), default=None),
        group,
    )


def _roll(actual: Actual, group: tuple[Instance, ...], wanted: Wanted, now: float, *, gate: bool) -> Rollout:
    taken = frozenset(i.index for i in actual.instances if i.process == WEB)
    return roll(WEB, wanted, replace(actual, instances=group), now, gate=gate, manner=Manner(taken=taken))


def _group(desired: DesiredChannel, actual: Actual, release_id: str) -> tuple[Instance, ...]:
    """The copies of the release on trial, those with variables of before included."""
    if desired.release is not None and desired.release.id == release_id:
        return ()
    return tuple(i for i in actual.instances if i.process == WEB and i.release_id == release_id)


def _unsuitable(desired: DesiredChannel, canary: Canary) -> str:
    """Why the two releases cannot serve side by side; "" when they can."""
    if desired.mode is Mode.LIVE:
        return "a site that runs straight from its folder has one state only, and no releases that could be tried"
    old = desired.release.blueprint.process(WEB) if desired.release else None
    new = canary.release.blueprint.process(WEB)
    if old is None or new is None:
        return "only a release with a web process can be tried beside another one with a web process"
    if (old.listen is Listen.FASTCGI) is not (new.listen is Listen.FASTCGI):
        return "one of the releases is PHP and the other is not, so that they cannot share the channel's visitors"
    return ""


def _abort(desired: DesiredChannel, actual: Actual, trial: Trial, reason: str) -> TrialPlan:
    """Out of the slots with this very plan; its copies leave with the next."""
    assert desired.canary is not None, "what is not wanted is not aborted"
    sentence = reason if reason.endswith(".") else f"{reason[:1].upper()}{reason[1:]}."
    text = f"Release {desired.canary.release.number} was taken out of its trial, and the release before serves all requests. {sentence}"
    step = NoteTrial(replace(trial, aborted=sentence), EventKind.CANARY_ABORTED, text)
    group = _group(desired, actual, trial.release_id)
    return TrialPlan([step], _irreplaceable(desired, actual, trial, group), SLOTS, settled=False, group=group)


def _take_out(desired: DesiredChannel, actual: Actual, release_id: str, now: float) -> TrialPlan:
    """Its copies get no new requests, drain and leave; those that serve alone stay until somebody else is ready."""
    group = _group(desired, actual, release_id)
    staying = _irreplaceable(desired, actual, actual.trial or Trial(release_id), group)
    leaving = tuple(i for i in group if i not in staying)
    none = Wanted(ProcessSpec(WEB, ""), replace(desired.scale_of(WEB), count=0), "")
    rollout = _roll(actual, leaving, none, now, gate=False)
    settled = not any(i.state in LIVE_STATES for i in group)
    return TrialPlan(rollout.steps, staying, SLOTS, settled, rollout.next_at, group)


def _irreplaceable(desired: DesiredChannel, actual: Actual, trial: Trial, group: tuple[Instance, ...]) -> list[Instance]:
    """The copies on trial that visitors have only: they had slots, and nobody of another release is ready."""
    others = any(i.process == WEB and i.state in SERVING_STATES and i not in group for i in actual.instances)
    if others or not trial.serving_since or desired.scale_of(WEB).count == 0:
        return []
    return [i for i in group if i.state in SERVING_STATES]


def _forget(desired: DesiredChannel, actual: Actual, now: float) -> TrialPlan:
    """Nobody wants a trial: what is left of one goes. A promoted release's copies are the channel's own, and stay."""
    if actual.trial is None:
        return TrialPlan()
    ending = _take_out(desired, actual, actual.trial.release_id, now)
    if not ending.group:
        ending.steps.append(NoteTrial(None))
    return ending
