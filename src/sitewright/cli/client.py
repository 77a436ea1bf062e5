"""The HTTP API as the commands use it: JSON in and out, problems become errors, pages become one stream of items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httpx

from sitewright import errors
from sitewright.cli.place import NotSignedInError, Place

PREFIX = "/api/v1"
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


class _FixedAddress(httpx.BaseTransport):
    """Connects to one address whatever the URL's host is; the Host header stays as asked."""

    def __init__(self, connect: str, inner: httpx.BaseTransport) -> None:
        self._host, _, port = connect.rpartition(":")
        self._port = int(port)
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host=self._host, port=self._port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def problem(status: int, body: bytes) -> errors.SitewrightError:
    """The error that a problem+json answer stands for."""
    try:
        data = json.loads(body)
    except ValueError:
        data = {}
    if not isinstance(data, dict):
        data = {}
    kind = BY_CODE.get(str(data.get("code"))) or BY_STATUS.get(status, errors.SitewrightError)
    title, detail = str(data.get("title") or ""), data.get("detail") or ""
    details = detail if isinstance(detail, str) else json.dumps(detail)
    resolution = str(data.get("resolution") or "")
    if status == 401:
        return NotSignedInError(title or "You are not signed in.", details=details, resolution=resolution or "Run `sitewright login URL`.")
    return kind(title or f"The platform answered with status {status}.", details=details, resolution=resolution)


class Client:
    """A connection to one platform. Every method raises SitewrightError."""

    def __init__(self, place: Place, transport: httpx.BaseTransport | None = None) -> None:
        self.place = place
        if transport is None:
            transport = httpx.HTTPTransport(trust_env=not place.connect)
            if place.connect:
                transport = _FixedAddress(place.connect, transport)
        headers = {"Accept": "application/json", "User-Agent": "sitewright-cli"}
        if place.token:
            headers["Authorization"] = f"Bearer {place.token}"
        self._http = httpx.Client(base_url=place.url, headers=headers, transport=transport, timeout=httpx.Timeout(30.0, read=120.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def _away(self, error: httpx.HTTPError) -> errors.UnavailableError:
        local = bool(self.place.connect)
        return errors.UnavailableError(
            f"The platform at {self.place.url} does not answer.",
            details=str(error),
            resolution="Start it with `sitewright up`; `sitewright doctor` says what is wrong." if local else "Try again later.",
        )

    def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One call below /api/v1; the answer's JSON, {} when it has no body."""
        try:
            answer = self._http.request(method, PREFIX + path, **options)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        if answer.status_code >= 400:
            raise problem(answer.status_code, answer.content)
        if not answer.content:
            return {}
        try:
            return cast(dict[str, Any], answer.json())
        except ValueError as error:
            raise errors.UnavailableError(
                f"What answers at {self.place.url} is not Sitewright.", resolution="Check the address (`sitewright login URL`)."
            ) from error

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """GET with query parameters; those that are None are left out."""
        return self.request("GET", path, params={name: value for name, value in parameters.items() if value is not None})

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
        return self.request(
            "POST", "/uploads", content=chunks, params={"filename": filename}, headers={"Content-Type": "application/octet-stream"}
        )

    def events(self, path: str, after: str = "", **parameters: Any) -> Iterator[Event]:
        """Server-sent events until the server ends the stream; only those that came *after* that event id."""
        query = {name: value for name, value in parameters.items() if value is not None}
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        try:
            with self._http.stream("GET", PREFIX + path, params=query, headers=headers, timeout=httpx.Timeout(30.0, read=90.0)) as answer:
                if answer.status_code >= 400:
                    raise problem(answer.status_code, answer.read())
                yield from parse_events(answer.iter_lines())
        except httpx.HTTPError as error:
            raise self._away(error) from error


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
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"text": str(value)}
