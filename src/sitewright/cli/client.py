"""The HTTP API as the commands use it: JSON in and out, problems become errors, pages become one stream of items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from json import dumps, loads
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlencode

from sitewright import errors
from sitewright.cli.place import NotSignedInError, Place
from sitewright.cli.transport import Connection, Request, Transport

PREFIX = "/api/v1"
STREAM_SECONDS = 90.0
"""A stream says every few seconds that it is still there."""
BY_STATUS: dict[int, type[errors.SitewrightError]] = {
    400: errors.InvalidValueError,
    401: NotSignedInError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.QuotaError,
    422: errors.InvalidValueError,
    429: errors.QuotaError,
    502: errors.UnavailableError,
    503: errors.UnavailableError,
    504: errors.UnavailableError,
}
BY_CODE: dict[str, type[errors.SitewrightError]] = {
    kind.code: kind
    for kind in (
        errors.InvalidValueError,
        errors.NotFoundError,
        errors.ForbiddenError,
        errors.ConflictError,
        errors.QuotaError,
        errors.UnavailableError,
        errors.BuildError,
        errors.EngineError,
    )
}


def problem(status: int, body: bytes) -> errors.SitewrightError:
    """The error that a problem+json answer stands for."""
    try:
        data = loads(body)
    except ValueError:
        data = {}
    if not isinstance(data, dict):
        data = {}
    kind = BY_CODE.get(str(data.get("code"))) or BY_STATUS.get(status, errors.SitewrightError)
    title, detail = str(data.get("title") or ""), data.get("detail") or ""
    details = detail if isinstance(detail, str) else dumps(detail)
    resolution = str(data.get("resolution") or "")
    if status == 401:
        return NotSignedInError(title or "You are not signed in.", details=details, resolution=resolution or "Run `sitewright login URL`.")
    return kind(title or f"The platform answered with status {status}.", details=details, resolution=resolution)


class Client:
    """A connection to one platform. Every method raises SitewrightError."""

    def __init__(self, place: Place, transport: Transport | None = None) -> None:
        self.place = place
        self._transport = transport or Connection(place)
        self._headers = {"Accept": "application/json", "User-Agent": "sitewright-cli"}
        if place.token:
            self._headers["Authorization"] = f"Bearer {place.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def _away(self, error: Exception) -> errors.UnavailableError:
        local = bool(self.place.connect)
        return errors.UnavailableError(
            f"The platform at {self.place.url} does not answer.",
            details=str(error) or type(error).__name__,
            resolution="Start it with `sitewright up`; `sitewright doctor` says what is wrong." if local else "Try again later.",
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
    ) -> dict[str, Any]:
        """One call below /api/v1 with a JSON body, or with *content* as it is; the answer's JSON, {} when it has no body."""
        headers, body = dict(self._headers), b"" if content is None else content
        if json is not None:
            headers["Content-Type"], body = "application/json", dumps(json).encode()
        elif content is not None:
            headers["Content-Type"] = "application/octet-stream"
        try:
            status, answer = self._transport.ask(Request(method, _target(path, params), headers, body))
        except (OSError, HTTPException) as error:
            raise self._away(error) from error
        if status >= 400:
            raise problem(status, answer)
        try:
            return cast(dict[str, Any], loads(answer)) if answer else {}
        except ValueError as error:
            raise errors.UnavailableError(
                f"What answers at {self.place.url} is not Sitewright.", resolution="Check the address (`sitewright login URL`)."
            ) from error

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """GET with query parameters; those that are None are left out."""
        return self.request("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST with a JSON body."""
        return self.request("POST", path, json=body or {})

    def items(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """All items of a listing, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **parameters)
            yield from page.get("items", [])
            cursor = page.get("next")
            if not cursor:
                return

    def upload(self, chunks: Iterable[bytes], filename: str) -> dict[str, Any]:
        """Send a source; {"digest", "size"}."""
        return self.request("POST", "/uploads", params={"filename": filename}, content=chunks)

    def events(self, path: str, after: str = "", **parameters: Any) -> Iterator[Event]:
        """Server-sent events until the server ends the stream; only those that came *after* that event id."""
        headers = {**self._headers, "Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        try:
            with self._transport.listen(Request("GET", _target(path, parameters), headers, silence=STREAM_SECONDS)) as answer:
                if answer.status >= 400:
                    raise problem(answer.status, answer.read())
                yield from parse_events(line.decode("utf-8", "replace").rstrip("\r\n") for line in answer)
        except (OSError, HTTPException) as error:
            raise self._away(error) from error


def _target(path: str, parameters: Mapping[str, Any] | None) -> str:
    """Path and query; parameters that are None are left out. The path may have a query already."""
    query = urlencode({name: value for name, value in (parameters or {}).items() if value is not None})
    joint = ("&" if "?" in path else "?") if query else ""
    return f"{PREFIX}{path}{joint}{query}"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. ``id`` is the last id that the server gave, "" before the first."""

    kind: str
    data: dict[str, Any]
    id: str = ""


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events out of lines. Data that is not a JSON object is wrapped as {"text": …}."""
    kind, last_id = "message", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(kind, _object("\n".join(data)), last_id)
            kind, data = "message", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                kind = value
            elif field == "id":
                last_id = value
            elif field == "data":
                data.append(value)


def _object(text: str) -> dict[str, Any]:
    try:
        value = loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"text": str(value)}
