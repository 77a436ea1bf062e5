"""Work trees and commits: what was edited in a live folder, committing it, keeping a build's source."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from sitewright.bus.messages import Author, Edits, EditsQuery, Published, PublishEdits
from sitewright.commands import git_repository as commands
from sitewright.config.settings import Settings
from sitewright.domain.names import ChannelName
from sitewright.engines.base import Mount
from sitewright.errors import ConflictError, EngineError, NotFoundError, QuotaError
from sitewright.repository.box import Box, Boxes
from sitewright.repository.place import Place, Places

SECONDS = 120.0


class Folders:
    """Commits what lies in folders of this node."""

    def __init__(self, settings: Settings, boxes: Boxes, places: Places) -> None:
        self._paths = settings.paths
        self._boxes = boxes
        self._places = places

    async def edits(self, query: EditsQuery) -> Edits:
        """How a live folder differs from a commit. Raises NotFoundError, InvalidValueError."""
        place = self._places.of(query.site_id, query.number)
        await asyncio.to_thread(self._places.make, place)
        told = await self._run(place, self._folder(query.site_id, query.channel), commands.editing(query.commit))
        return Edits(files=tuple((kind, path) for kind, path in told["files"]), more=told["more"])

    async def publish(self, request: PublishEdits) -> Published:
        """Commit a live folder. Raises ConflictError when the branch was moved meanwhile; the folder stays as it is in any case."""
        place = self._places.of(request.site_id, request.number)
        argv = commands.committing(request.author.message, request.parent, request.branch)
        told = await self._commit(place, self._folder(request.site_id, request.channel), argv, request.author)
        if "moved" in told:
            raise ConflictError(
                f"The branch {request.branch} was moved by somebody else meanwhile.",
                details="Your edits are still in the folder.",
                resolution="Look at what was pushed, then publish again.",
            )
        return Published(commit=told["commit"], files=told["files"])

    async def commit_tree(self, site_id: str, number: int, tree: Path, parent: str, author: Author) -> str:
        """Keep *tree* as a commit on top of *parent* ("" is none); its id, the parent's when nothing differs. No branch is moved."""
        place = self._places.of(site_id, number)
        told = await self._commit(place, tree, commands.committing(author.message, parent), author)
        return str(told["commit"])

    def _folder(self, site_id: str, channel: str) -> Path:
        folder = self._paths.live_folder(site_id, str(ChannelName(channel)))
        if not folder.is_dir():
            raise NotFoundError("This channel has no folder of its own.", resolution="Only live channels are edited in place.")
        return folder

    async def _commit(self, place: Place, folder: Path, argv: tuple[str, ...], author: Author) -> dict[str, Any]:
        await asyncio.to_thread(self._places.make, place)
        room = self._places.most_bytes - await self._places.size(place)
        if room <= 0:
            raise QuotaError("The site's repository takes as much as it may.", resolution="Remove large files from its history.")
        return await self._run(place, folder, argv, env=commands.committer(author.name, author.email), room=room)

    async def _run(
        self, place: Place, folder: Path, argv: tuple[str, ...], *, env: tuple[tuple[str, str], ...] = (), room: int = 0
    ) -> dict[str, Any]:
        mounts = (Mount(folder, commands.TREE),)
        box = Box(argv, env, mounts, writable=bool(room), seconds=SECONDS, most_file_bytes=room)
        answer = await self._boxes.ask(place, box)
        told: dict[str, Any] = json.loads(answer.output) if answer.ok else {"problem": answer.error[-300:]}
        if "problem" not in told:
            return told
        if any(words in told["problem"] for words in ("bad object", "Not a valid object", "failed to unpack tree object")):
            raise NotFoundError("There is no such commit in the site's repository.", details=told["problem"])
        raise EngineError("git could not read the folder.", details=told["problem"], resolution="Look at the files named, and try again.")
