"""What nobody wants: instances and routes of channels that this node was not told of. Only what is seen twice, some time apart, goes."""

from __future__ import annotations

from sitewright.orchestrator.apply import Applier
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.routes import Routes
from sitewright.orchestrator.view import EngineView

FULL_LOOK_SECONDS = 3.0
STRAY_SECONDS = 0.01
"""A channel: the routes on disk are looked through so much more seldom, the more there are (20,000: every 200 s)."""


class Strays:
    """Finds and removes them, with every full look."""

    def __init__(self, store: DesiredStore, view: EngineView, routes: Routes, applier: Applier) -> None:
        self._store = store
        self._view = view
        self._routes = routes
        self._applier = applier
        self._unwanted: dict[str, float] = {}
        self._stray_routes: frozenset[str] = frozenset()
        self._routes_at = 0.0

    def look(self, now: float) -> None:
        """End and remove what was there at an earlier look too."""
        self._end_orphans(now)
        self._applier.prepared.check_memory()
        if not 0 <= now - self._routes_at < max(FULL_LOOK_SECONDS, STRAY_SECONDS * len(self._store.ids())):
            self._routes_at = now
            self._remove_routes()

    def _remove_routes(self) -> None:
        stray = self._routes.channels() - self._store.ids() - self._store.damaged
        for channel_id in stray & self._stray_routes:
            self._routes.remove(channel_id)
        self._stray_routes = frozenset(stray - self._stray_routes)

    def _end_orphans(self, now: float) -> None:
        seen: dict[str, float] = {}
        for channel_id in self._view:
            if self._store.told(channel_id) is not None or channel_id in self._store.damaged:
                continue
            for item in self._view.of(channel_id):
                first = self._unwanted.get(item.spec.id, now)
                seen[item.spec.id] = first
                if now - first >= FULL_LOOK_SECONDS:
                    self._applier.end_orphan(item)
                    seen[item.spec.id] = now
        self._unwanted = seen
