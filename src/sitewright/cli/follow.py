"""Watching an operation until it ends: its steps and the log of its build, live."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from sitewright.cli.client import Client
from sitewright.cli.output import terminal_text
from sitewright.errors import BuildError, SitewrightError, UnavailableError

FINAL = frozenset({"succeeded", "failed", "cancelled"})
PATIENCE_SECONDS = 60.0
AGAIN_SECONDS = 0.5
LAST_LINES_SECONDS = 2.0
MARKS = {"running": "…", "done": "✓", "failed": "✗", "skipped": "-"}


class OperationFailedError(SitewrightError):
    """The operation failed."""

    code = "operation_failed"
    exit_code = 11


def versions(client: Client, operation_id: str, clock: Callable[[], float] = time.monotonic) -> Iterator[dict[str, Any]]:
    """The operation each time it changed, the last one in a final state. Rides out a restart of the manager. Raises UnavailableError."""
    silent_since = clock()
    while True:
        try:
            for event in client.events(f"/operations/{operation_id}/stream"):
                if event.kind == "operation":
                    silent_since = clock()
                    yield event.data
                    if event.data["state"] in FINAL:
                        return
            operation = client.get(f"/operations/{operation_id}")
            yield operation
            if operation["state"] in FINAL:
                return
        except UnavailableError:
            if clock() - silent_since > PATIENCE_SECONDS:
                raise
        time.sleep(0.3)


class Watcher:
    """Prints what changed: a line a step, and the build's log between them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shown: dict[str, str] = {}
        self._lock = threading.Lock()
        self._build: threading.Thread | None = None
        self._over = threading.Event()

    def line(self, text: str) -> None:
        """One line, whole, whoever writes."""
        with self._lock:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def show(self, operation: dict[str, Any]) -> None:
        """Print the steps whose state is new."""
        for step in operation.get("steps", []):
            state = step["state"]
            if state not in MARKS or self._shown.get(step["name"]) == state:
                continue
            self._shown[step["name"]] = state
            detail = f": {step['detail']}" if step.get("detail") and state in {"failed", "done"} else ""
            if state != "skipped":
                self.line(terminal_text(f"{MARKS[state]} {step['title']}{detail}"))
        build = operation.get("build")
        if build and self._build is None:
            self._build = threading.Thread(target=self._follow_build, args=(str(build),), daemon=True)
            self._build.start()

    def _follow_build(self, build: str) -> None:
        """Until the log ends; after a break (the node or the manager was restarted) it goes on with the line after the last one."""
        after = ""
        while not self._over.is_set():
            try:
                with Client(self._client.place) as client:
                    for event in client.events(f"/builds/{build}/logs/stream", after):
                        after = event.id or after
                        if event.kind == "line":
                            self.line("    " + terminal_text(str(event.data.get("text", ""))))
                        elif event.kind in {"end", "problem"}:
                            return
            except SitewrightError as error:
                # The log is a courtesy: the operation itself says how it ended.
                if not isinstance(error, UnavailableError):
                    return
            self._over.wait(AGAIN_SECONDS)

    def finish(self) -> None:
        """Let the last lines of the build come."""
        if self._build is not None:
            self._build.join(timeout=LAST_LINES_SECONDS)
        self._over.set()


def failure(operation: dict[str, Any]) -> SitewrightError:
    """The error of an operation that did not succeed."""
    error = operation.get("error") or {}
    if operation["state"] == "cancelled":
        return OperationFailedError(
            "The operation was cancelled.", resolution=f"`sitewright operations retry {operation['id']}` starts it again."
        )
    kind = BuildError if error.get("code") == BuildError.code else OperationFailedError
    return kind(error.get("message") or "", details=error.get("details") or "", resolution=error.get("resolution") or "")


def follow(client: Client, operation: dict[str, Any]) -> dict[str, Any]:
    """Watch until the end; the final operation. Raises BuildError or OperationFailedError when it did not succeed.

    Ctrl-C stops watching, not the operation.
    """
    watcher = Watcher(client)
    last = operation
    watcher.show(last)
    try:
        for last in versions(client, str(operation["id"])):
            watcher.show(last)
    except KeyboardInterrupt:
        watcher.line(f"Still going on. `sitewright operations show {operation['id']}` says how far it is.")
        raise
    watcher.finish()
    if last["state"] != "succeeded":
        raise failure(last)
    return last
