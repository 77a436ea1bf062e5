"""What of a build is on disk: <builds>/<id>/{request.json, status.json, build.log}, so that a kill at any moment loses nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from pydantic import ValidationError

from sitewright.bus.messages import BuildRequest, BuildStatus
from sitewright.config.paths import Paths
from sitewright.domain.identity import is_id
from sitewright.domain.names import ChannelName
from sitewright.domain.states import BuildState
from sitewright.errors import InvalidValueError
from sitewright.system.files import remove_tree, write_atomic
from sitewright.system.ownership import PASSABLE, make_folder

FINAL = frozenset({BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED})
KEPT_PER_SITE = 30
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_request(request: BuildRequest) -> None:
    """Raises InvalidValueError unless every name in it can safely be part of a path."""
    for what, value in (("build", request.build_id), ("site", request.site_id), ("channel", request.channel_id)):
        if not is_id(value):
            raise InvalidValueError(f"“{value[:20]}” is not the id of a {what}.")
    ChannelName(request.channel)
    if request.number < 0 or request.release_number < 0:
        raise InvalidValueError("A site's number and a release's number are not negative.")


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

    def add(self, request: BuildRequest, status: BuildStatus) -> None:
        """Keep a new build. The request is written last: a folder without one never was accepted."""
        folder = self.folder(request.build_id)
        make_folder(folder, PASSABLE)
        self.put(status)
        write_atomic(folder / "request.json", request.encode(), mode=0o600)

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

    def unfinished(self) -> list[BuildRequest]:
        """Builds that were accepted and have not ended, oldest first."""
        found: list[tuple[float, BuildRequest]] = []
        for folder in self._paths.builds.iterdir():
            if not is_id(folder.name):
                continue
            request, status = self.request(folder.name), self.status(folder.name)
            if request is not None and (status is None or status.state not in FINAL):
                found.append(((folder / "request.json").stat().st_mtime, request))
        return [request for _, request in sorted(found, key=lambda pair: pair[0])]

    def remove_old(self) -> None:
        """Remove what is left of old builds: all but the newest 30 of each site, and folders of builds that were never accepted."""
        by_site: dict[str, list[tuple[float, Path]]] = {}
        for folder in self._paths.builds.iterdir():
            request = self.request(folder.name) if is_id(folder.name) else None
            if request is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            by_site.setdefault(request.site_id, []).append((folder.stat().st_mtime, folder))
        for folders in by_site.values():
            for _, folder in sorted(folders, reverse=True)[KEPT_PER_SITE:]:
                status = self.status(folder.name)
                if status is not None and status.state in FINAL:
                    shutil.rmtree(folder, ignore_errors=True)

    def ended(self) -> list[tuple[BuildRequest, BuildStatus]]:
        """Builds that have ended, with what was asked and how they ended."""
        found = [(self.request(folder.name), self.status(folder.name)) for folder in self._paths.builds.iterdir() if is_id(folder.name)]
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

    def clear_work(self, build_id: str) -> None:
        """Remove a build's working folders, whatever a tenant left in them; request, status and log stay."""
        for entry in self.folder(build_id).iterdir():
            if entry.is_dir() and not entry.is_symlink():
                with contextlib.suppress(OSError):
                    remove_tree(entry)
