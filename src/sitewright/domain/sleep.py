"""Sleep: what a channel that nobody visits may do, and the stages it goes through.

``awake → dozing → frozen → stopped``; any of the three → ``awake`` when a visitor, a deploy or a person asks for it.
docs/explanation/sleep.md has the table of states and what a kill at any point leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MINUTE = 60.0


class SleepStage(StrEnum):
    """How deep a channel sleeps. Static sites are always awake: nothing of theirs runs."""

    AWAKE = "awake"
    DOZING = "dozing"
    """Its route is withdrawn, so that the next visitor wakes it; requests that are under way still end."""
    FROZEN = "frozen"
    """Its processes stand still in memory: a thaw takes about a millisecond."""
    STOPPED = "stopped"
    """No process of it is left: it takes no memory."""


SLEEP_TRANSITIONS: Final[dict[SleepStage, frozenset[SleepStage]]] = {
    SleepStage.AWAKE: frozenset({SleepStage.DOZING}),
    SleepStage.DOZING: frozenset({SleepStage.FROZEN, SleepStage.STOPPED, SleepStage.AWAKE}),
    SleepStage.FROZEN: frozenset({SleepStage.STOPPED, SleepStage.AWAKE}),
    SleepStage.STOPPED: frozenset({SleepStage.AWAKE}),
}
"""What may follow each stage; docs/explanation/sleep.md says when."""


@dataclass(frozen=True, slots=True)
class SleepPolicy:
    """After how many idle seconds a channel freezes and stops; both count from the last request. 0 is never.

    ``freeze_after_seconds`` 0 or not before ``stop_after_seconds``: it stops without having been frozen.
    """

    freeze_after_seconds: float = 0.0
    stop_after_seconds: float = 0.0

    @property
    def sleeps(self) -> bool:
        """Whether it ever sleeps."""
        return self.freeze_after_seconds > 0 or self.stop_after_seconds > 0


ALWAYS_ON = SleepPolicy()
USUAL_SLEEP = SleepPolicy(freeze_after_seconds=15 * MINUTE, stop_after_seconds=120 * MINUTE)
