"""An edit of a live static site, from sending the file until a visitor gets it."""

from __future__ import annotations

import base64
import statistics
import time

from benchmarks.harness import Row
from benchmarks.platform.stand import Stand, static_site

SITE = "bench-live"
FILE = f"/sites/{SITE}/files/content?path=index.html"
EDITS = 30


def edit_rows(there: Stand) -> list[Row]:
    """95th percentile and median."""
    folder = static_site(there.folder / SITE, "first")
    there.platform.cli("sites", "create", SITE, "--from", str(folder), "--live")
    api, visitor = there.api(), there.visitor(SITE)
    visitor.await_text(b"first")
    seconds = []
    version = api.call("GET", FILE)["version"]
    for number in range(EDITS):
        text = f"<!doctype html><title>bench</title><p>edit {number}</p>\n".encode()
        began = time.perf_counter()
        version = api.call("PUT", FILE, {"data": base64.b64encode(text).decode(), "version": version})["version"]
        visitor.await_text(f"edit {number}<".encode(), pause=0.001)
        seconds.append(time.perf_counter() - began)
    api.close()
    visitor.close()
    return [
        Row("edit of a live static site until visible: p95", statistics.quantiles(seconds, n=20)[18] * 1000, "ms", 300),
        Row("edit of a live static site until visible: median", statistics.median(seconds) * 1000, "ms"),
    ]
