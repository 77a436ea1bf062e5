"""A site's repository on disk: whose it is, how it is made, what it takes."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.git import DEFAULT_BRANCH
from sitewright.domain.identity import is_id, new_id
from sitewright.domain.limits import MIB
from sitewright.errors import InvalidValueError
from sitewright.system.accounts import tenant_uid
from sitewright.system.disk import occupied
from sitewright.system.ownership import PASSABLE, SITE, give_tree, make_folder, site_owner

_PRIVATE = 0o700
_FOLDERS = ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info")


@dataclass(frozen=True, slots=True)
class Place:
    """One repository: the site's id, the uid that everything runs as, the folder."""

    site_id: str
    uid: int
    folder: Path

    @property
    def exists(self) -> bool:
        """Whether it was made already."""
        return self.folder.is_dir()


class Places:
    """Finds and makes repositories, and remembers what they take."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._sizes: dict[str, int] = {}

    def of(self, site_id: str, number: int) -> Place:
        """Where it is, made or not. Raises InvalidValueError."""
        if not is_id(site_id) or number < 1:
            raise InvalidValueError("This is not a site's id.")
        return Place(site_id, tenant_uid(self._settings.uid_base, number), self._paths.repository(site_id))

    def make(self, place: Place) -> None:
        """Make it unless it is there: in one step, so that nobody ever sees half a repository. Raises OSError."""
        if place.exists:
            return
        make_folder(self._paths.home, PASSABLE)
        make_folder(self._paths.sites, PASSABLE)
        make_folder(self._paths.site(place.site_id), SITE, site_owner(place.uid))
        fresh = self.aside()
        make_folder(fresh, _PRIVATE)
        try:
            for name in _FOLDERS:
                (fresh / name).mkdir(parents=True, mode=_PRIVATE)
            (fresh / "HEAD").write_text(f"ref: refs/heads/{DEFAULT_BRANCH}\n")
            (fresh / "config").write_text("[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n")
            give_tree(fresh, place.uid, place.uid)
            fresh.rename(place.folder)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if not place.exists:
                raise

    @property
    def most_bytes(self) -> int:
        """What one repository may take."""
        return self._settings.repository_mb * MIB

    async def size(self, place: Place, *, fresh: bool = True) -> int:
        """What it takes, in bytes; *fresh* False is what it took when it was last looked at. It is not counted far beyond what it may."""
        if not place.exists:
            return 0
        if fresh or place.site_id not in self._sizes:
            self._sizes[place.site_id] = await asyncio.to_thread(occupied, place.folder, self.most_bytes * 2)
        return self._sizes[place.site_id]

    def aside(self) -> Path:
        """Where a repository can be made before it is put into its place."""
        make_folder(self._paths.repository_tools, PASSABLE)
        return self._paths.repository_tools / f"new-{new_id()}"

    def sweep(self) -> None:
        """Remove repositories that were being made when the process ended."""
        for path in self._paths.repository_tools.glob("new-*"):
            shutil.rmtree(path, ignore_errors=True)

    def all(self) -> tuple[Path, ...]:
        """Every repository on this node."""
        if not self._paths.sites.is_dir():
            return ()
        found = sorted(Path(entry.path) / "repo.git" for entry in os.scandir(self._paths.sites))
        return tuple(path for path in found if path.is_dir())
