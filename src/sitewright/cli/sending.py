"""Sending a source with a progress bar on a terminal, a plain line otherwise."""

from __future__ import annotations

import sys
from typing import Any

from sitewright.cli.client import Client
from sitewright.cli.source import Kind, decide, send

MEGABYTE = 1_000_000


def send_with_progress(client: Client, words: str) -> dict[str, Any]:
    """Decide what *words* mean and upload it; the source as the API wants it."""
    source = decide(words)
    if source.kind in {Kind.GIT, Kind.IMAGE}:
        return send(client, source, lambda _: None)
    if not sys.stderr.isatty():
        total = 0

        def count(sent: int) -> None:
            nonlocal total
            total = sent

        made = send(client, source, count)
        if total:
            amount = f"{total / MEGABYTE:.1f} MB" if total >= MEGABYTE else f"{max(total // 1000, 1)} kB"
            print(f"Sent {amount}.", file=sys.stderr)
        return made
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("Sending", total=None)
        return send(client, source, lambda sent: bars.update(bar, completed=sent))
