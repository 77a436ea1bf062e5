"""A channel's problem, as its owner reads it: the planner's words, what is known of the cause, and the last lines of output."""

from __future__ import annotations

from pathlib import Path

from sitewright.builder.advice import explain_start
from sitewright.orchestrator.logs import LogStore

LAST_LINES = 10
READ_LINES = 40
"""Looked at for a known cause."""


def in_full(problem: str, logs: LogStore, folder: Path) -> str:
    """*problem* with what the channel's processes wrote last; *folder* is where their output is kept."""
    lines = logs.tail(folder, "", READ_LINES) if problem else ()
    if not lines:
        return problem
    known = explain_start([problem, *(line.text for line in lines)])
    last = (line.text[:400] for line in lines[-LAST_LINES:])
    return "\n".join([problem, *([known] if known else []), "Last lines of its output:", *last])
