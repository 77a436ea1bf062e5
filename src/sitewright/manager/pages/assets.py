"""The built files of the pages: read once, kept compressed, sent with a long life because their address holds their fingerprint."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

TYPES: Final = {
    "sitewright.css": "text/css; charset=utf-8",
    "sitewright.js": "text/javascript; charset=utf-8",
    "icons.svg": "image/svg+xml",
    "favicon.svg": "image/svg+xml",
}
"""Every file that there is, and nothing else is served."""
YEAR_SECONDS = 31_536_000


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One built file. ``fingerprint`` is the beginning of its SHA-256."""

    plain: bytes
    packed: bytes
    fingerprint: str


def built_file(name: str) -> BuiltFile:
    """The file of that name. Raises Http404 when it is none of ours."""
    if name not in TYPES:
        raise Http404
    path = f"{settings.STATIC_ROOT}/sitewright/{name}"
    return _read(path, Path(path).stat().st_mtime_ns)


@cache
def _read(path: str, changed: int) -> BuiltFile:
    del changed  # part of the key: a file that was built again is read again
    plain = Path(path).read_bytes()
    return BuiltFile(plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:10])


@require_safe
def send(request: HttpRequest, name: str) -> HttpResponse:
    """A built file; for ever when the address names this very version, else for a minute."""
    file = built_file(name)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(file.packed if packed else file.plain, content_type=TYPES[name])
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    known = request.META.get("QUERY_STRING", "") == file.fingerprint
    response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable" if known else "public, max-age=60"
    return response
