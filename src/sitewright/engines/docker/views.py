"""From what the daemon says of a container to what the contract calls it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sitewright.engines.base import EngineState, Exit, Observed, Stats
from sitewright.engines.docker.labels import spec_from

RUNNING = {"running": EngineState.RUNNING, "restarting": EngineState.RUNNING, "paused": EngineState.FROZEN}


def exit_of(state: Mapping[str, Any]) -> Exit:
    """How a container ended. A child that ran out of memory while the rest went on is not its end; one never started has code -1."""
    if state["Status"] == "created":
        return Exit(-1)
    code = int(state["ExitCode"])
    return Exit(code & 0xFF, out_of_memory=bool(state["OOMKilled"]) and code != 0)


def started_at(stamp: str) -> float:
    """Seconds since the epoch of 2026-01-31T12:00:00.123456789Z; 0 for the daemon's «never»."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}") if moment.year > 1 else 0.0


def observed_from(inspected: Mapping[str, Any]) -> Observed:
    """An instance, from GET /containers/…/json. Raises ValueError, KeyError or TypeError when the labels are not readable."""
    state, config = inspected["State"], inspected["Config"]
    spec = spec_from(config["Labels"], config["Env"] or [])
    kind = RUNNING.get(state["Status"], EngineState.EXITED)
    ended = exit_of(state) if kind is EngineState.EXITED else None
    return Observed(spec, kind, started_at(state["StartedAt"]), ended, int(state["Pid"] or 0))


def stats_from(answer: Mapping[str, Any]) -> Stats:
    """From GET /containers/…/stats. File cache that the kernel may take back is not counted as used."""
    memory = answer.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    reclaimable = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    used = max(0, int(memory.get("usage", 0)) - int(reclaimable))
    cpu = int(((answer.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage", 0)) / 1e9
    held_back = (answer.get("cpu_stats") or {}).get("throttling_data") or {}
    return Stats(
        used,
        cpu,
        int((answer.get("pids_stats") or {}).get("current", 0)),
        cpu_periods=int(held_back.get("periods", 0)),
        cpu_throttled=int(held_back.get("throttled_periods", 0)),
    )
