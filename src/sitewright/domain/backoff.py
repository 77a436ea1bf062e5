"""How long to wait before starting a crashed instance again."""

from __future__ import annotations

FREE_RESTARTS = 3
FIRST_DELAY_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 960.0
RESET_AFTER_SECONDS = 300.0


def restart_delay(crashes: int) -> float:
    """Seconds to wait after the *crashes*-th crash in a row (1 is the first): 0 for three, then 30 s doubling to 16 min.

    The rule is Cloud Foundry's health manager's: quick for an accident, patient with something broken.
    """
    if crashes <= FREE_RESTARTS:
        return 0.0
    doublings = min(crashes - FREE_RESTARTS - 1, 10)
    return min(FIRST_DELAY_SECONDS * float(2**doublings), LONGEST_DELAY_SECONDS)


def crashes_in_a_row(previous: int, ready_for_seconds: float) -> int:
    """The new count after a crash, when the instance had been ready that long: five good minutes forgive what was before."""
    return 1 if ready_for_seconds >= RESET_AFTER_SECONDS else previous + 1
