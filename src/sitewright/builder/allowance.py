"""What one build may use of the machine, and whether there is enough of it now. Pure."""

from __future__ import annotations

from dataclasses import replace

from sitewright.domain.limits import BUILD_LIMITS, MIB, Limits

BUILD_CPU_WEIGHT = 20
"""Of one build, against the other jobs of the platform; all jobs together weigh a quarter of what the sites do."""
LEAST_BYTES, MOST_BYTES = 512 * MIB, 4096 * MIB
"""Between these lies a quarter of the machine's memory, when the settings name no limit."""
SMALLEST_BYTES = 256 * MIB
"""With less no build is begun: it would only be killed."""
LEFT_FREE_BYTES = 192 * MIB
"""What sites may need all of a sudden while a build runs."""
PATIENCE_SECONDS = 60.0
"""So long a build waits for the whole of its memory; then it is begun with what there is."""


def memory_limit(setting_mb: int, installed: int) -> int:
    """Bytes of memory that one build may take."""
    return setting_mb * MIB if setting_mb else min(MOST_BYTES, max(LEAST_BYTES, installed // 4))


def granted(limit: int, available: int, promised: int, waited: float) -> int:
    """Bytes that a build may be begun with now; 0 when it has to wait.

    *available* is free on the machine, *promised* is what running builds may still take of it, *waited* is how many seconds memory has been
    short.
    """
    spare = available - promised - LEFT_FREE_BYTES
    if spare >= limit:
        return limit
    return min(limit, spare) if waited >= PATIENCE_SECONDS and spare >= min(SMALLEST_BYTES, limit) else 0


def build_limits(memory: int) -> Limits:
    """The limits of each command of a build that may take *memory* bytes. Its /tmp is memory too."""
    return replace(
        BUILD_LIMITS, memory_bytes=memory, cpu_weight=BUILD_CPU_WEIGHT, scratch_bytes=min(BUILD_LIMITS.scratch_bytes, memory // 2)
    )


def short_of_memory(limit: int, available: int) -> str:
    """What is told while a build waits for memory."""
    return f"Waiting for memory: {available // MIB} MB of the machine are free, and the build may need {limit // MIB} MB"
