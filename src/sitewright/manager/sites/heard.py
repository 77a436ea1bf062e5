"""Whether every word of a node was heard. Messages are numbered: who misses a number asks for everything again."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.bus.messages import Heartbeat


@dataclass(slots=True)
class _Node:
    last: int = -1
    whole: bool = False
    began: float = 0.0
    """When the first part of the full report that is under way was heard; 0 when a part is missing, or none is under way."""


class Heard:
    """What this process has heard of each node since it began."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def note(self, beat: Heartbeat, now: float) -> float:
        """Note a message. When it is the last part of a full report that was heard without a gap: when that began (as *now* was told
        then), else 0."""
        known = self._nodes.setdefault(beat.node, _Node())
        gap = beat.sequence != known.last + 1
        known.last = beat.sequence
        known.whole = known.whole and not gap
        if not beat.full:
            known.began = 0.0
            return 0.0
        if beat.part == 0:
            known.began = now
        elif gap:
            known.began = 0.0
        if beat.part + 1 < beat.parts or not known.began:
            return 0.0
        began, known.began, known.whole = known.began, 0.0, True
        return began

    def everything(self, node: str) -> bool:
        """Whether there was a full report, and no gap after it."""
        return node in self._nodes and self._nodes[node].whole
