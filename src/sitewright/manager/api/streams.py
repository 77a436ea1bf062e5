"""Server-sent events: one-way streams over plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse

KEEP_ALIVE = b": still here\n\n"


def event(name: str, data: Any, event_id: str = "") -> bytes:
    """One event; *data* is JSON on one line. The id comes back as Last-Event-ID when a browser reconnects."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    marked = f"id: {event_id}\n" if event_id else ""
    return f"{marked}event: {name}\ndata: {text}\n\n".encode()


def stream(events: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """The answer that carries them; no proxy may keep them back."""
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
