"""Learns at once that a process has ended, whoever started it: one pidfd an instance (pidfd_open(2))."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable

from sitewright.engines.base import EngineState, Observed

LOOK_AGAIN_SECONDS = (0.02, 0.1, 0.3, 1.0)
"""One process has ended; the engine calls the instance ended when all its processes have and it has read how."""


class ExitWatch:
    """Calls *ended* with an instance's channel when the process that the engine names for it ends."""

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended
        self._descriptors: dict[str, int] = {}

    def update(self, observed: Iterable[Observed]) -> None:
        """Watch exactly these."""
        living = {o.spec.id: o for o in observed if o.pid > 0 and o.state is not EngineState.EXITED}
        for instance_id in self._descriptors.keys() - living.keys():
            self._drop(instance_id)
        for instance_id in living.keys() - self._descriptors.keys():
            self._add(living[instance_id])

    def _add(self, item: Observed) -> None:
        try:
            descriptor = os.pidfd_open(item.pid)
        except OSError:
            return
        self._descriptors[item.spec.id] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._fire, item.spec.id, item.spec.channel_id)

    def _fire(self, instance_id: str, channel_id: str) -> None:
        self._drop(instance_id, keep=True)
        self._ended(channel_id)
        for seconds in LOOK_AGAIN_SECONDS:
            asyncio.get_running_loop().call_later(seconds, self._ended, channel_id)

    def _drop(self, instance_id: str, *, keep: bool = False) -> None:
        descriptor = self._descriptors.get(instance_id, -1)
        if descriptor >= 0:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        if keep:
            self._descriptors[instance_id] = -1
        else:
            self._descriptors.pop(instance_id, None)

    def close(self) -> None:
        """Watch nothing any more."""
        with contextlib.suppress(RuntimeError):
            for instance_id in list(self._descriptors):
                self._drop(instance_id)
