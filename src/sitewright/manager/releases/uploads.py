"""Receiving sources: streamed to disk, hashed on the way, never whole in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db.models import Sum

from sitewright.domain.limits import MAX_SOURCE_BYTES, MIB
from sitewright.errors import InvalidValueError, QuotaError
from sitewright.manager.accounts.models import User
from sitewright.manager.releases.models import Upload
from sitewright.system.files import flush_folder

CHUNK_BYTES = 256 * 1024
KEPT_BYTES = 4 * MAX_SOURCE_BYTES
"""What one person's uploads may take together; a build that has used one does not need it any more."""


def receive(user: User, read: Callable[[int], bytes], name: str) -> Upload:
    """Take what *read* gives until it gives nothing. Raises InvalidValueError when it is empty or too large, QuotaError."""
    kept = Upload.objects.filter(user=user).aggregate(total=Sum("size_bytes"))["total"] or 0
    room = min(MAX_SOURCE_BYTES, KEPT_BYTES - kept)
    folder: Path = settings.PLATFORM.paths.uploads
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}.part"
    try:
        digest, size = _copy(read, temporary, room)
        temporary.replace(folder / digest)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(folder)
    upload, _ = Upload.objects.update_or_create(user=user, digest=digest, defaults={"size_bytes": size, "name": Path(name).name[:255]})
    return upload


def _copy(read: Callable[[int], bytes], target: Path, room: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := read(CHUNK_BYTES):
            size += len(chunk)
            if size > room:
                raise _too_much(room)
            digest.update(chunk)
            file.write(chunk)
        if not size:
            raise InvalidValueError("The upload is empty.", resolution="Send the file's bytes as the request's body.")
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _too_much(room: int) -> InvalidValueError | QuotaError:
    if room == MAX_SOURCE_BYTES:
        return InvalidValueError(
            f"The upload is larger than {MAX_SOURCE_BYTES // MIB} MB.",
            details="Nothing of it was kept.",
            resolution="Leave out what a build makes by itself, such as node_modules.",
        )
    return QuotaError("Your uploads take up too much space.", details="Nothing of this one was kept.", resolution="Deploy or wait a day.")


def forget_old(before_days: int = 1) -> int:
    """Delete uploads that are older than that many days and that no operation waits for; the number of them."""
    from datetime import timedelta  # noqa: PLC0415

    from django.utils import timezone  # noqa: PLC0415

    from sitewright.manager.operations.models import Operation  # noqa: PLC0415
    from sitewright.manager.sites.state import UNFINISHED  # noqa: PLC0415

    waiting = Operation.objects.filter(state__in=UNFINISHED)
    needed = {params.get("source", {}).get("digest") for params in waiting.values_list("params", flat=True)}
    old = Upload.objects.filter(created_at__lt=timezone.now() - timedelta(days=before_days)).exclude(digest__in=needed - {None})
    digests = set(old.values_list("digest", flat=True))
    count, _ = old.delete()
    for digest in digests - set(Upload.objects.filter(digest__in=digests).values_list("digest", flat=True)):
        (settings.PLATFORM.paths.uploads / digest).unlink(missing_ok=True)
    _forget_cut_off(before_days)
    return count


def _forget_cut_off(before_days: int) -> None:
    """What a killed process had received so far."""
    for path in settings.PLATFORM.paths.uploads.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > before_days * 86400:
                path.unlink()
