"""Progress of `up` on a terminal or as plain lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from sitewright.errors import SitewrightError
from sitewright.up.preflight import Finding, Weight


class Screen:
    """Prints steps: a spinner while one is being done and a tick afterwards; on anything but a terminal one line a step."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()

    def line(self, text: str = "") -> None:
        """A plain line."""
        print(text, flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that *text* is being done."""
        if not self.terminal:
            self.line(f"  {text}")
            yield
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms that a service without a terminal does not need

        console = Console(highlight=False)
        with console.status(text):
            yield
        console.print(f"  [green]✓[/green] {text}")

    def finding(self, finding: Finding) -> None:
        """What preflight found, and what to do."""
        mark = "✗" if finding.weight is Weight.STOP else "!"
        self.line(f"  {mark} {finding.message}\n    {finding.resolution}")


def say_error(error: SitewrightError) -> None:
    """Message, details and what to do, on standard error."""
    print(f"sitewright: {error.message}", file=sys.stderr)
    for more in (error.details, error.resolution):
        if more:
            print(f"  {more}", file=sys.stderr)
