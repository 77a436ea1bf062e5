"""A plan in words, for people who do not count in millicores."""

from __future__ import annotations

from sitewright.domain.limits import MIB
from sitewright.manager.durations import duration
from sitewright.manager.teams.allowance import Allowance


def plan_in_words(allowance: Allowance) -> list[str]:
    """What it allows, a sentence each."""
    process, visits = allowance.process, allowance.visits
    words = [
        f"Each copy of a process may use {process.memory_bytes // MIB} MB of memory and {_processors(process.cpu_millicores)}.",
        f"It may have {process.pids} processes and threads and {process.open_files} open files, and write "
        f"{process.log_bytes_per_second // 1024} KB of log a second.",
        f"A release may take {allowance.disk_bytes // MIB} MB of disk, and what the site stores itself as much again.",
        _visitors(visits.connections, visits.requests_per_second, visits.body_mb),
    ]
    return [*words, _sleep(allowance)]


def _processors(millicores: int) -> str:
    if millicores == 1000:
        return "one processor"
    return f"{millicores / 1000:g} processors" if millicores > 1000 else f"{millicores / 10:g} % of a processor"


def _visitors(connections: int, rate: int, body: int) -> str:
    parts = [
        text
        for figure, text in (
            (connections, f"{connections} requests at a time"),
            (rate, f"{rate} requests a second"),
            (body, f"{body} MB a request"),
        )
        if figure
    ]
    return f"Visitors may send {', '.join(parts)}." if parts else "Visitors may send as much as the platform can take."


def _sleep(allowance: Allowance) -> str:
    freeze, stop = allowance.sleep.freeze_after_seconds, allowance.sleep.stop_after_seconds
    if not allowance.sleep.sleeps:
        return "Sites never sleep, unless you want them to."
    parts = [f"freezes after {duration(freeze)}"] if freeze else []
    parts += [f"stops after {duration(stop)}"] if stop else []
    never = " It may also be kept awake always." if allowance.always_on else ""
    return f"A site that nobody visits {' and '.join(parts)}; the next visitor wakes it.{never}"
