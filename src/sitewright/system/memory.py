"""How much memory this machine has and how much of it is free."""

from __future__ import annotations

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def available_bytes(meminfo: Path = MEMINFO) -> int:
    """What could be taken without swapping, as the kernel estimates it (proc(5), MemAvailable); what is installed where it does not say."""
    try:
        for line in meminfo.read_text().splitlines():
            name, _, figure = line.partition(":")
            if name == "MemAvailable":
                return int(figure.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return installed_bytes()


def installed_bytes() -> int:
    """What is installed."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
