"""What an instance, a build or a one-off may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds of one sandbox. Exceeding memory kills it, exceeding pids fails fork, CPU is throttled, log lines are dropped."""

    memory_bytes: int = 256 * MIB
    cpu_millicores: int = 1000
    pids: int = 128
    open_files: int = 4096
    log_bytes_per_second: int = 64 * 1024
    scratch_bytes: int = 64 * MIB
    """Size of the private /tmp."""


BUILD_LIMITS = Limits(
    memory_bytes=1536 * MIB, cpu_millicores=1000, pids=512, open_files=8192, log_bytes_per_second=MIB, scratch_bytes=1024 * MIB
)
BUILD_TIMEOUT_SECONDS = 900.0
MAX_SOURCE_BYTES = 1024 * MIB
MAX_SOURCE_FILES = 100_000
