"""What of a build is on disk: <builds>/<id>/{request.json, status.json, build.log, artefacts.json}, so that a kill at any moment loses
nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sitewright.bus.messages import Artefacts, BuildRequest, BuildStatus
from sitewright.config.paths import Paths
from sitewright.domain.identity import is_id
from sitewright.domain.names import ChannelName
from sitewright.domain.states import BuildState
from sitewright.errors import InvalidValueError
from sitewright.system.files import remove_tree, write_atomic
from sitewright.system.ownership import PASSABLE, make_folder

FINAL = frozenset({BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED})
KEPT_PER_CHANNEL = 20
KEPT_PER_SITE = 100
UNACCEPTED_SECONDS = 3600.0
"""A folder without a request may be one that is just being made."""
GONE_PREFIX = "gone-"
"""Of working folders that wait to be deleted."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_request(request: BuildRequest) -> None:
    """Raises InvalidValueError unless every name in it can safely be part of a path."""
    for what, value in (("build", request.build_id), ("site", request.site_id), ("channel", request.channel_id)):
        if not is_id(value):
            raise InvalidValueError(f"“{value[:20]}” is not the id of a {what}.")
    ChannelName(request.channel)
    if request.number < 0 or request.release_number < 0:
        raise InvalidValueError("A site's number and a release's number are not negative.")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A build that waits: what is asked, and when it was the how manieth to be accepted (seconds since the epoch)."""

    request: BuildRequest
    since: float
    number: int


class BuildStore:
    """Reads and writes builds' folders. Blocking, but short."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def open(self) -> None:
        """Make the folder of all builds."""
        make_folder(self._paths.home, PASSABLE)
        make_folder(self._paths.builds, PASSABLE)

    def folder(self, build_id: str) -> Path:
        """A build's folder. Raises InvalidValueError for what is not an id."""
        if not is_id(build_id):
            raise InvalidValueError(f"“{build_id[:20]}” is not the id of a build.")
        return self._paths.builds / build_id

    def log_path(self, build_id: str) -> Path:
        """Its log."""
        return self.folder(build_id) / "build.log"

    def add(self, request: BuildRequest, status: BuildStatus, since: float = 0.0, number: int = 0) -> None:
        """Keep a new build, and when it was the how manieth to be accepted. The request is written last: a folder without one never was
        accepted."""
        folder = self.folder(request.build_id)
        make_folder(folder, PASSABLE)
        self.put(status, durable=False)
        document = {**json.loads(request.encode()), "accepted": [since, number]}
        write_atomic(folder / "request.json", json.dumps(document).encode(), mode=0o600)

    def forget_values(self, request: BuildRequest) -> None:
        """A build that has ended needs the values of its variables no more."""
        bare = request.model_copy(update={"env": ()})
        write_atomic(self.folder(request.build_id) / "request.json", bare.encode(), mode=0o600, durable=False)

    def put(self, status: BuildStatus, *, durable: bool = True) -> None:
        """Replace its status."""
        write_atomic(self.folder(status.build_id) / "status.json", status.encode(), mode=0o600, durable=durable)

    def status(self, build_id: str) -> BuildStatus | None:
        """Its status, None when there is no such build (or the file is damaged)."""
        try:
            return BuildStatus.model_validate_json((self.folder(build_id) / "status.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def request(self, build_id: str) -> BuildRequest | None:
        """What was asked for, None when there is no such build."""
        try:
            return BuildRequest.model_validate_json((self.folder(build_id) / "request.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def unfinished(self) -> list[Accepted]:
        """Builds that were accepted and have not ended, in the order in which they were."""
        found: list[Accepted] = []
        for folder in self._folders():
            request = None if self._has_ended(folder) else self.request(folder.name)
            if request is not None:
                since, number = self._accepted(folder)
                found.append(Accepted(request, since, number))
        return sorted(found, key=lambda each: (each.since, each.number))

    def _has_ended(self, folder: Path) -> bool:
        """Without looking at the whole of it: a node has many builds behind it when it starts."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return json.loads((folder / "status.json").read_bytes())["state"] in FINAL
        return False

    def _accepted(self, folder: Path) -> tuple[float, int]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            since, number = json.loads((folder / "request.json").read_bytes())["accepted"]
            return float(since), int(number)
        return (folder / "request.json").stat().st_mtime, 0

    def _folders(self) -> list[Path]:
        return [folder for folder in self._paths.builds.iterdir() if is_id(folder.name)]

    def remove_old(self, droplets: Collection[str] = ()) -> None:
        """Remove what is left of old builds: all but the newest 20 of each channel (100 of each site), those whose *droplets* somebody may
        come back to, and folders of builds that were never accepted. Those that have ended forget their variables, should a kill have come
        between."""
        by_channel: dict[tuple[str, str], list[tuple[float, Path]]] = {}
        by_site: dict[str, list[tuple[float, Path]]] = {}
        for folder in self._folders():
            request = self.request(folder.name)
            if request is None:
                if time.time() - folder.stat().st_mtime > UNACCEPTED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            if self._has_ended(folder):
                for entry in folder.glob(f"{GONE_PREFIX}*"):
                    _remove(entry)
                if request.env:
                    self.forget_values(request)
            aged = (folder.stat().st_mtime, folder)
            by_channel.setdefault((request.site_id, request.channel), []).append(aged)
            by_site.setdefault(request.site_id, []).append(aged)
        old = {folder for folders in by_channel.values() for _, folder in sorted(folders, reverse=True)[KEPT_PER_CHANNEL:]}
        old |= {folder for folders in by_site.values() for _, folder in sorted(folders, reverse=True)[KEPT_PER_SITE:]}
        for folder in old:
            status = self.status(folder.name)
            if status is not None and status.state in FINAL and status.droplet not in droplets:
                shutil.rmtree(folder, ignore_errors=True)

    def ended(self) -> list[tuple[BuildRequest, BuildStatus]]:
        """Builds that have ended, with what was asked and how they ended."""
        found = [(self.request(folder.name), self.status(folder.name)) for folder in self._folders()]
        return [(request, status) for request, status in found if request is not None and status is not None and status.state in FINAL]

    def droplets(self) -> dict[str, float]:
        """The droplets on disk and when each was put there, in seconds since the epoch."""
        found: dict[str, float] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._paths.droplets) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False).st_ctime for entry in entries if _DIGEST.fullmatch(entry.name)}
        return found

    def forget_droplet(self, digest: str, put_at: float) -> bool:
        """Delete one, unless it was put there anew since that time. Nothing else names it, so nothing can be cut off half-way."""
        path = self._paths.droplets / digest
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_ctime == put_at:
                path.unlink()
                return True
        return False

    def set_work_aside(self, build_id: str) -> None:
        """Take a build's working folders out of the way, in no time; ``clear_work`` deletes them."""
        for entry in self.folder(build_id).iterdir():
            if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith(GONE_PREFIX):
                with contextlib.suppress(OSError):
                    entry.rename(entry.with_name(f"{GONE_PREFIX}{secrets.token_hex(6)}"))

    def clear_work(self, build_id: str) -> None:
        """Remove a build's working folders, whatever a tenant left in them; request, status and log stay."""
        for entry in self.folder(build_id).iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _remove(entry)

    def put_artefacts(self, artefacts: Artefacts) -> None:
        """Keep what a build put together."""
        write_atomic(self.folder(artefacts.build_id) / "artefacts.json", artefacts.encode(), mode=0o600, durable=False)

    def artefacts(self, build_id: str) -> Artefacts | None:
        """What it put together, None when that is not known."""
        try:
            return Artefacts.model_validate_json((self.folder(build_id) / "artefacts.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        remove_tree(folder)
