"""A look at everything that the engine holds: what changed, what to tell at once, whose output to keep, whose end to wait for."""

from __future__ import annotations

from sitewright.domain.events import EventKind
from sitewright.engines.base import EngineState, Observed
from sitewright.orchestrator.apply import Tools
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.logs import Source
from sitewright.orchestrator.observe import index_of, memory_kill_text, new_memory_kills
from sitewright.orchestrator.view import EngineView
from sitewright.orchestrator.watch import ExitWatch


class Looker:
    """Asks the engine."""

    def __init__(self, tools: Tools, store: DesiredStore, view: EngineView, watch: ExitWatch) -> None:
        self._tools = tools
        self._store = store
        self._view = view
        self._watch = watch

    async def look(self) -> frozenset[str]:
        """The channels of which something changed. Raises EngineError."""
        self._view.ask()
        everything = await self._tools.engine.observe()
        for item in everything:
            if not self._tools.logs.knows(item.spec.id):
                self._adopt_logs(item)
        changed = self._view.answer(everything)
        self._tell_memory_kills(everything)
        self._watch.update(everything)
        return changed

    def _tell_memory_kills(self, everything: tuple[Observed, ...]) -> None:
        """Tell the owner when the memory limit killed a part of an instance that goes on: a server's worker, say."""
        for item in everything:
            if item.state is EngineState.EXITED or self._store.told(item.spec.channel_id) is None:
                continue
            own = self._tools.memories.of(item.spec.channel_id).instance(item.spec.id)
            if new_memory_kills(own, item) and (desired := self._store.get(item.spec.channel_id)) is not None:
                text = memory_kill_text(item)
                self._tools.events.emit(EventKind.INSTANCE_OUT_OF_MEMORY, desired.site_id, desired.channel_id, text)

    def _adopt_logs(self, item: Observed) -> None:
        desired = self._store.get(item.spec.channel_id)
        if desired is not None:
            folder = self._tools.settings.paths.channel_logs(desired.site_id, desired.channel)
            self._tools.logs.register(item.spec.id, Source(folder, f"{item.spec.process}.{index_of(item)}"))
