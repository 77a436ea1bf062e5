"""Boxes for commands that somebody runs by hand: the release's files and variables, and nothing else of the site need be running.

A box is an instance of the process type `run` that waits; the command is run beside it. It ends with its session. One whose session went
down with the node is ended by the planner, because nobody attends it.
"""

from __future__ import annotations

from dataclasses import replace

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.domain.processes import ProcessSpec
from sitewright.engines.base import EngineState, Observed
from sitewright.errors import ConflictError, NotFoundError, QuotaError
from sitewright.orchestrator.apply_cron import Copy
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.model import ONE_OFF, Serving, job_scale, wanted_of
from sitewright.orchestrator.observe import index_of
from sitewright.orchestrator.specs import tree_of

MOST_BOXES = 5
"""At a time for one channel."""
WAIT = "trap 'exit 0' TERM; while :; do sleep 86400 & wait; done"
"""What the box itself does; the command that somebody wanted runs beside it."""


class OneOffs:
    """Opens and ends boxes."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._tools = orchestrator.tools

    async def open(self, channel_id: str) -> Observed:
        """A new box. Raises NotFoundError, ConflictError when nothing was released yet, QuotaError for too many, EngineError."""
        desired = self._orchestrator.store.get(channel_id)
        if desired is None or desired.removed:
            raise NotFoundError("This node knows nothing of that site.")
        serving = self._serving(desired)
        desired = replace(desired, release=serving.release, mode=serving.mode, canary=None)
        if not tree_of(self._tools.settings.paths, desired, serving).is_dir():
            await self._tools.ensure_tree(desired)
        index = self._free_index(channel_id)
        wanted = wanted_of(desired, serving.release, ProcessSpec(ONE_OFF, WAIT), replace(job_scale(desired, ONE_OFF), count=1))
        memory, box = self._tools.memories.of(channel_id), new_id()
        memory.instance(box).attended = True
        try:
            await self._orchestrator.applier.launch(desired, memory, Copy(box, wanted, index))
        except BaseException:
            memory.instances.pop(box, None)
            raise
        return next(item for item in self._orchestrator.observed(channel_id) if item.spec.id == box)

    def end(self, box: Observed) -> None:
        """Nobody attends it any more."""
        own = self._tools.memories.of(box.spec.channel_id).instances.get(box.spec.id)
        if own is not None:
            own.attended = False
        self._orchestrator.wake(box.spec.channel_id)

    def _serving(self, desired: DesiredChannel) -> Serving:
        """What visitors get; the wanted release while they get nothing yet."""
        serving = self._tools.memories.of(desired.channel_id).serving
        if serving is not None:
            return serving
        if desired.release is None:
            raise ConflictError("Nothing of this site was released yet.", resolution="Deploy it first.")
        return Serving(desired.release, desired.mode)

    def _free_index(self, channel_id: str) -> int:
        boxes = [
            item
            for item in self._orchestrator.observed(channel_id)
            if item.spec.process == ONE_OFF and item.state is not EngineState.EXITED
        ]
        opening = sum(1 for own in self._tools.memories.of(channel_id).instances.values() if own.attended)
        if max(len(boxes), opening) >= MOST_BOXES:
            raise QuotaError(f"{MOST_BOXES} commands of this site run already.", resolution="Wait until one of them has ended.")
        taken = {index_of(item) for item in boxes}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)
