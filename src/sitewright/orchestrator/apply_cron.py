"""Steps of cron processes: what was due is on disk before its run is started, so that no kill at any point makes it run twice."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.errors import SitewrightError
from sitewright.orchestrator import steps
from sitewright.orchestrator.cron import Run
from sitewright.orchestrator.memory import ChannelMemory
from sitewright.orchestrator.model import Wanted

if TYPE_CHECKING:
    from sitewright.orchestrator.apply import Tools

log = logging.getLogger(__name__)

LAST_LINES = 5
SELDOM_SECONDS = 3600.0
"""The start of what is due less often than this is an event of its own."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One instance to be started."""

    id: str
    wanted: Wanted
    index: int


Launch = Callable[[DesiredChannel, ChannelMemory, Copy], Awaitable[None]]
"""Start that instance. Raises SitewrightError."""


class CronApplier:
    """Does the steps of cron processes."""

    def __init__(self, tools: Tools, launch: Launch) -> None:
        self._tools = tools
        self._launch = launch

    async def do(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.Step) -> None:
        """Do one step. Raises OSError when what must be on disk could not be written; nothing is started then."""
        match step:
            case steps.NoteCron(state, said, forget):
                for kind, text in said:
                    self._emit(desired, kind, text)
                memory.crons[state.process] = state
                if forget:
                    del memory.crons[state.process]
                self._tools.memories.save(desired.channel_id)
            case steps.StartRun():
                await self._start(desired, memory, step)
            case steps.EndRun():
                self._end(desired, memory, step)

    async def _start(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.StartRun) -> None:
        process, known = step.look.state.process, memory.crons.get(step.look.state.process)
        run = Run(new_id(), step.look.due, self._tools.clock.now())
        memory.crons[process] = step.look.state.begun(run)
        try:
            self._tools.memories.save(desired.channel_id, durable=True)
        except OSError:
            memory.crons.pop(process)
            if known is not None:
                memory.crons[process] = known
            raise
        try:
            await self._launch(replace(desired, mode=step.mode), memory, Copy(run.id, step.wanted, step.index))
        except SitewrightError as error:
            memory.crons[process] = memory.crons[process].ended(run.id, run.started_at, f"could not be started: {error}")
            self._emit(desired, EventKind.CRON_FAILED, f"{process} could not be started: {error}")
            log.warning("cron.not_started", extra={"channel": desired.channel_id, "process": process, "reason": str(error)})
            return
        if step.look.state.next_at - step.look.due >= SELDOM_SECONDS:
            self._emit(desired, EventKind.CRON_STARTED, f"{process} was started.")

    def _end(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.EndRun) -> None:
        """Told before it is noted: a kill in between tells it twice rather than never."""
        text = step.text
        if step.kind is EventKind.CRON_FAILED:
            folder = self._tools.settings.paths.channel_logs(desired.site_id, desired.channel)
            lines = self._tools.logs.tail(folder, step.instance.process, LAST_LINES)
            text = "\n".join([text, *(["Last lines of its output:"] if lines else []), *(line.text[:400] for line in lines)])
        self._emit(desired, step.kind, text)
        memory.crons[step.state.process] = step.state
        self._tools.memories.save(desired.channel_id)

    def _emit(self, desired: DesiredChannel, kind: EventKind, text: str) -> None:
        self._tools.events.emit(kind, desired.site_id, desired.channel_id, text)
