"""No site fills the disk: what running sites keep is measured whenever the disk has filled up by some more, and who is over is stopped.

The kernel's own quotas would be exact, but few machines have them switched on. This is late by seconds; what a site can write meanwhile is
bounded by the disk's speed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.limits import MIB
from sitewright.engines.base import EngineState
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.specs import data_of
from sitewright.system import disk
from sitewright.system.accounts import is_root, tenant_uid

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""How often the disk as a whole is asked, which costs one system call."""
GROWN_BYTES = 32 * MIB
GROWN_FILES = 5_000
"""So much more on the disk, whoever wrote it: sites are measured."""
MEASURE_SECONDS = 900.0
"""Without that, they are measured this often."""
SHARE_OF_TIME = 20
"""Measuring takes at most a twentieth of one processor."""
PATIENCE_BYTES = MIB
"""A stopped site starts again. While it is over the limit it may run as long as it does not grow by this, so that its owner can delete."""
FAR_TOO_MUCH = 2
"""Times the limit: nothing runs any more, and nobody counts on."""


@dataclass(frozen=True, slots=True)
class Held:
    """A channel, the bytes it has on disk and the most that it may have."""

    desired: DesiredChannel
    size: int
    limit: int


class DiskGuard:
    """Watches what channels with running instances have on disk."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._tools = orchestrator.tools
        self._measured_at = 0.0
        self._used = (0, 0)
        self._stopped: dict[str, int] = {}
        """By channel: bytes it had when it was stopped last."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = self._tools.clock.steady()
            try:
                if self._due(began):
                    await self.measure()
            except Exception:
                log.exception("disk.not_measured")
            await asyncio.sleep(max(LOOK_SECONDS, SHARE_OF_TIME * (self._tools.clock.steady() - began)))

    def _due(self, now: float) -> bool:
        size, files = disk.used(self._tools.settings.home)
        grown = size - self._used[0] >= GROWN_BYTES or files - self._used[1] >= GROWN_FILES
        if not grown and now - self._measured_at < MEASURE_SECONDS:
            # What others have deleted makes room that a site may fill.
            self._used = (min(size, self._used[0]), min(files, self._used[1]))
            return False
        self._used, self._measured_at = (size, files), now
        return True

    async def measure(self) -> None:
        """Measure every channel that runs, and stop those that have too much."""
        running = [channel for channel in self._orchestrator.running() if self._instances(channel)]
        for held in await asyncio.to_thread(self._sizes, running):
            channel_id = held.desired.channel_id
            if held.size <= held.limit:
                self._stopped.pop(channel_id, None)
            elif held.size >= min(self._stopped.get(channel_id, 0) + PATIENCE_BYTES, FAR_TOO_MUCH * held.limit):
                self._stopped[channel_id] = held.size
                await self._stop(held)

    def _sizes(self, channels: list[DesiredChannel]) -> list[Held]:
        settings = self._tools.settings
        # As an ordinary user all sites are that user, who may have deleted files of one's own open.
        nameless = disk.nameless(settings.home.stat().st_dev) if is_root() else {}
        found = []
        for channel in channels:
            paths = (settings.paths.live_folder(channel.site_id, channel.channel), data_of(settings.paths, channel))
            limit = self.limit_of(channel)
            named = sum(disk.occupied(path, FAR_TOO_MUCH * limit) for path in paths)
            found.append(Held(channel, nameless.get(tenant_uid(settings.uid_base, channel.number), 0) + named, limit))
        return found

    def limit_of(self, channel: DesiredChannel) -> int:
        """The most bytes that the channel may have: its own bound, or the platform's."""
        return channel.disk_bytes or self._tools.settings.site_disk_mb * MIB

    def _instances(self, channel: DesiredChannel) -> list[str]:
        observed = self._orchestrator.observed(channel.channel_id)
        return [item.spec.id for item in observed if item.state is not EngineState.EXITED]

    async def _stop(self, held: Held) -> None:
        text = (
            f"Stopped: it has {held.size // MIB} MB of files, and {held.limit // MIB} MB are the most. Nothing was deleted. "
            "It starts again by itself; delete files before it writes more."
        )
        log.warning("disk.site_stopped", extra={"site": held.desired.site_id, "size": held.size})
        self._tools.events.emit(EventKind.INSTANCE_CRASHED, held.desired.site_id, held.desired.channel_id, text)
        for instance_id in self._instances(held.desired):
            await self._tools.engine.stop(instance_id, 0.0)
        self._orchestrator.wake(held.desired.channel_id)
