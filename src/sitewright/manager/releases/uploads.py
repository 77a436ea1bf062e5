"""Receiving sources: streamed to disk, named by their SHA-256, and remembered as sent by this person."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, Self

from django.conf import settings

from sitewright.domain.limits import MAX_SOURCE_BYTES
from sitewright.errors import InvalidValueError, UnavailableError
from sitewright.manager.accounts.models import User
from sitewright.manager.releases.models import Upload


class Receiver:
    """Takes an upload piece by piece; ``finish`` keeps it, leaving the block without it throws it away.

    Raises InvalidValueError past MAX_SOURCE_BYTES, UnavailableError when the disk is full.
    """

    def __init__(self, folder: Path, most: int = MAX_SOURCE_BYTES) -> None:
        self._folder = folder
        self._most = most
        self._path = folder / f".{secrets.token_hex(8)}.part"
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self.size = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._file = os.fdopen(descriptor, "wb")
        return self

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        assert self._file is not None
        self.size += len(piece)
        if self.size > self._most:
            raise InvalidValueError(
                "The archive is too large.",
                details=f"{self._most // 1024**2} MB are the most.",
                resolution="Leave out what can be downloaded.",
            )
        self._digest.update(piece)
        try:
            self._file.write(piece)
        except OSError as error:
            raise UnavailableError("The upload could not be stored.", details=os.strerror(error.errno or 0)) from error

    def finish(self) -> str:
        """Everything came; its SHA-256 in hex."""
        assert self._file is not None
        if self.size == 0:
            raise InvalidValueError("The archive is empty.", resolution="Send a zip or tar file with the site's files in it.")
        self._file.close()
        digest = self._digest.hexdigest()
        self._path.replace(self._folder / digest)
        return digest

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


def receiver() -> Receiver:
    """A receiver into this platform's folder of uploads."""
    return Receiver(settings.PLATFORM.paths.uploads)


def record_upload(user: User, digest: str, size: int, name: str) -> Upload:
    """Remember that this person sent it; *name* is what they called the file."""
    shown = PurePath(name.replace("\\", "/")).name[:255]
    upload, _ = Upload.objects.update_or_create(user=user, digest=digest, defaults={"size_bytes": size, "name": shown})
    return upload


def keep_upload(user: User, pieces: Iterable[bytes], name: str) -> Upload:
    """Receive a whole upload. Raises as ``Receiver`` does."""
    with receiver() as receiving:
        for piece in pieces:
            receiving.write(piece)
        digest = receiving.finish()
    return record_upload(user, digest, receiving.size, name)
