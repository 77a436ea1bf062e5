"""The repositories of this node's sites: what the manager asks about them on the bus."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, ChangesAnswer, ChangesQuery, Message, RefMove, Refs, RepositoryQuery
from sitewright.commands import git_repository as commands
from sitewright.config.settings import Settings
from sitewright.domain.git import Changes, RefUpdate
from sitewright.engines.base import Engine
from sitewright.errors import ConflictError, EngineError, InvalidValueError, NotFoundError
from sitewright.repository import parse
from sitewright.repository.box import Answer, Box, Boxes
from sitewright.repository.fetch import Fetches
from sitewright.repository.folders import Folders
from sitewright.repository.place import Place, Places
from sitewright.repository.sessions import GitSessions
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

MOST_REFS = 1000
MOST_CHANGES = 500
_NAMED = re.compile(r"refs/[^\s':]+")


class Repositories:
    """Answers ``git.*`` of ``bus.messages.METHODS``."""

    def __init__(self, settings: Settings, engine: Engine, bus: Bus, clock: Clock) -> None:
        self.places = Places(settings)
        self.boxes = Boxes(settings, engine)
        self.folders = Folders(settings, self.boxes, self.places)
        self.fetches = Fetches(settings, self.boxes, self.places)
        self.sessions = GitSessions(settings, bus, clock, self.boxes, self.places)

    def handlers(self) -> dict[str, Callable[[Any], Awaitable[Message]]]:
        """Method name → handler."""
        return {
            "git.open": self.sessions.open,
            "git.refs": self.refs,
            "git.changes": self.changes,
            "git.move": self.move,
            "git.fetch": self.fetches.fetch,
            "git.edits": self.folders.edits,
            "git.publish": self.folders.publish,
        }

    async def open(self) -> None:
        """Clean away what a node process that has died left half done."""
        await asyncio.to_thread(self.places.sweep)
        self.boxes.upkeep.open()
        self.sessions.pushes.open()

    async def run(self) -> None:
        """Look after repositories until cancelled."""
        await self.boxes.upkeep.run()

    async def close(self) -> None:
        """End all connections and fetches."""
        await self.sessions.close()
        await self.fetches.close()
        await self.boxes.upkeep.close()

    async def refs(self, query: RepositoryQuery) -> Refs:
        """Branches and tags, newest first, at most 1,000."""
        place = self.places.of(query.site_id, query.number)
        if not place.exists:
            return Refs()
        answer, size = await asyncio.gather(self._ask(place, commands.list_refs(MOST_REFS)), self.places.size(place))
        return Refs(refs=parse.refs(answer.output), size_bytes=size)

    async def changes(self, query: ChangesQuery) -> ChangesAnswer:
        """What lies between two commits. Raises NotFoundError when one is not there (any more)."""
        place = self.places.of(query.site_id, query.number)
        most = min(max(query.limit, 1), MOST_CHANGES)
        if not place.exists:
            raise NotFoundError("This site has no repository yet.")
        log_, files = await asyncio.gather(
            self._ask(place, commands.log(query.since, query.until, most)),
            self._ask(place, commands.changed_files(query.since, query.until)),
        )
        found, more = parse.file_changes(files.output, most)
        return ChangesAnswer(changes=Changes(parse.commits(log_.output), found, more))

    async def _ask(self, place: Place, argv: tuple[str, ...]) -> Answer:
        answer = await self.boxes.ask(place, Box(argv))
        if not answer.ok:
            raise NotFoundError("There is no such commit in the site's repository.", details=answer.error[:300])
        return answer

    async def move(self, request: RefMove) -> Ack:
        """Move references, all or none; nothing happens when all are where they shall be already. Raises ConflictError."""
        if not request.updates:
            return Ack()
        place = self.places.of(request.site_id, request.number)
        told = commands.moves(request.updates)
        await asyncio.to_thread(self.places.make, place)
        answer = await self.boxes.ask(place, Box(commands.MOVE, writable=True), told)
        if answer.ok:
            return Ack()
        await self._explain(place, request.updates, answer)
        return Ack()

    async def _explain(self, place: Place, updates: tuple[RefUpdate, ...], answer: Answer) -> None:
        """Raise the error of a move that failed, unless it had been made before."""
        now = parse.positions((await self._ask(place, commands.read_refs([update.name for update in updates]))).output)
        if all(now.get(update.name, "") == update.new for update in updates):
            return
        moved = next((update.name for update in updates if now.get(update.name, "") != update.old), "")
        if moved:
            raise ConflictError(
                f"{moved} was moved by somebody else meanwhile.",
                details=f"It is at {now.get(moved, '')[:12] or 'nothing'}.",
                resolution="Fetch, look at what is there, and try again.",
            )
        log.warning("git.move_failed", extra={"site": place.site_id, "reason": answer.error[:500]})
        if "nonexistent object" in answer.error or "missing" in answer.error:
            raise NotFoundError("There is no such commit in the site's repository.", details=answer.error[:300])
        named = _NAMED.search(answer.error)
        if "cannot lock ref" in answer.error:
            raise ConflictError(f"{named.group() if named else 'The branch'} is being changed by somebody else.", resolution="Try again.")
        if "non-commit" in answer.error:
            raise InvalidValueError("A branch can only lead to a commit.")
        raise EngineError("The branch could not be moved.", details=answer.error[:300], resolution="Try again.")
