"""What the engine holds, by channel: as of the last look, and as this process itself has changed it since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sitewright.engines.base import EngineState, InstanceSpec, Observed
from sitewright.orchestrator import steps


class EngineView:
    """Channel id → what the engine holds of it."""

    def __init__(self) -> None:
        self._channels: dict[str, tuple[Observed, ...]] = {}
        self._newer: dict[str, tuple[Observed, ...]] = {}
        """What was changed while the engine was being asked: its answer may be older."""

    def __contains__(self, channel_id: str) -> bool:
        return channel_id in self._channels

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        """How many instances there are."""
        return sum(map(len, self._channels.values()))

    def of(self, channel_id: str) -> tuple[Observed, ...]:
        """What is held of that channel."""
        return self._channels.get(channel_id, ())

    def ask(self) -> None:
        """The engine is asked now."""
        self._newer.clear()

    def answer(self, everything: Iterable[Observed]) -> frozenset[str]:
        """It has answered; the channels of which something changed."""
        found: dict[str, list[Observed]] = defaultdict(list)
        for item in everything:
            found[item.spec.channel_id].append(item)
        fresh = {channel_id: tuple(items) for channel_id, items in found.items()}
        for channel_id, items in self._newer.items():
            fresh.pop(channel_id, None)
            if items:
                fresh[channel_id] = items
        both = fresh.keys() | self._channels.keys()
        changed = {channel_id for channel_id in both if fresh.get(channel_id) != self._channels.get(channel_id)}
        changed.update(self._newer)
        self._channels = fresh
        return frozenset(changed)

    def started(self, spec: InstanceSpec, at: float, *, adopting: bool) -> None:
        """An instance was started: it is there before the engine is asked again, so that nobody starts a second one meanwhile."""
        self._put(spec.channel_id, (*self.of(spec.channel_id), Observed(spec, EngineState.RUNNING, at, adopting=adopting)))

    def done(self, channel_id: str, step: steps.Step) -> None:
        """That step was done: what was frozen, thawed or removed is."""
        items = self.of(channel_id)
        match step:
            case steps.Freeze(instance):
                self._put(channel_id, _with_state(items, instance.id, EngineState.FROZEN))
            case steps.Thaw(instance):
                self._put(channel_id, _with_state(items, instance.id, EngineState.RUNNING))
            case steps.Remove(instance):
                self._put(channel_id, tuple(item for item in items if item.spec.id != instance.id))

    def _put(self, channel_id: str, items: tuple[Observed, ...]) -> None:
        self._newer[channel_id] = items
        if items:
            self._channels[channel_id] = items
        else:
            self._channels.pop(channel_id, None)


def _with_state(items: tuple[Observed, ...], instance_id: str, state: EngineState) -> tuple[Observed, ...]:
    """One that has ended meanwhile stays so: nobody thaws it."""
    return tuple(
        replace(item, state=state) if item.spec.id == instance_id and item.state is not EngineState.EXITED else item for item in items
    )
