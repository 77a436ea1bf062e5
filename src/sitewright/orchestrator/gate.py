"""May copies of a release start? Its files must be there, and its release command done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import ProcessSpec
from sitewright.domain.release import Release
from sitewright.domain.states import Power
from sitewright.orchestrator.model import RELEASE_COMMAND, Hook, HookState, Tree, Wanted, job_scale
from sitewright.orchestrator.steps import EnsureTree, RunHook, Step


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether new copies may start; what has to be done before, why not, and when to look again."""

    open: bool = False
    before: tuple[Step, ...] = ()
    problem: str = ""
    next_at: float | None = None


def gate_of(desired: DesiredChannel, release: Release | None, tree: Tree, hook: Hook | None, now: float) -> Gate:
    """The gate of one release of the channel. *hook*: the last run of that release's command."""
    if release is None or desired.power is Power.OFF:
        return Gate()
    if tree.present:
        spec = release.blueprint.process(RELEASE_COMMAND)
        return Gate(open=True) if spec is None else _hook_gate(desired, release, spec, hook)
    if tree.preparing:
        return Gate(problem=tree.problem)
    if now < tree.retry_at:
        return Gate(problem=tree.problem, next_at=tree.retry_at)
    return Gate(before=(EnsureTree(trial=release != desired.release),), problem=tree.problem)


def _hook_gate(desired: DesiredChannel, release: Release, spec: ProcessSpec, hook: Hook | None) -> Gate:
    """The release command runs once a release; one that failed runs again when something about the channel has changed."""
    if hook is not None:
        if hook.state is not HookState.FAILED:
            return Gate(open=hook.state is HookState.DONE)
        if hook.generation == desired.generation:
            return Gate(problem=f"The release command failed: it {hook.reason}. What ran before stays.")
    wanted = Wanted(spec, job_scale(desired, RELEASE_COMMAND), "", release)
    return Gate(before=(RunHook(wanted, Hook(release.id, desired.generation, HookState.RUNNING)),))
