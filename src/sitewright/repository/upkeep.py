"""Looking after repositories: what a killed git has left goes before the next one writes, and now and then one is packed and pruned.

A file a site (<home>/node/repositories/<site>) says that its repository was written to since it was last tidied. It outlives this process:
when that is killed, so are its boxes, and what they have left half done (locks, quarantined packs) is removed when somebody next writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from sitewright.domain.identity import is_id
from sitewright.errors import EngineError, SitewrightError
from sitewright.repository.place import Place
from sitewright.system.files import write_atomic
from sitewright.system.ownership import make_folder

log = logging.getLogger(__name__)

EVERY_SECONDS = 1800.0

Run = Callable[[Place, str], Awaitable[dict[str, object]]]
"""Run tidy.py in the mode `sweep` or `tidy` in a box."""


class Upkeep:
    """Knows who writes to which repository, and whose was left unclean."""

    def __init__(self, shelf: Path, repositories: Callable[[str], Path], run: Run) -> None:
        self._shelf = shelf
        self._repository = repositories
        self._run = run
        self._writers: Counter[str] = Counter()
        self._writings: Counter[str] = Counter()
        """How often each was written to, by this process."""
        self._unclean: set[str] = set()
        self._noted: dict[str, int] = {}
        """Site → uid, of those that were written to."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sweeping: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Learn what the process before this one has left."""
        make_folder(self._shelf, 0o700)
        self._read_notes()
        self._unclean.update(self._noted)

    def _read_notes(self) -> None:
        for path in self._shelf.iterdir():
            with contextlib.suppress(ValueError, OSError):
                if is_id(path.name):
                    self._noted[path.name] = int(path.read_text())

    @contextlib.asynccontextmanager
    async def writing(self, place: Place) -> AsyncIterator[Callable[[], None]]:
        """For as long as a box may change the repository. Call what is given when it has ended by itself; else it counts as killed."""
        await self._begin(place)
        ended = False

        def by_itself() -> None:
            nonlocal ended
            ended = True

        try:
            yield by_itself
        finally:
            self._writers[place.site_id] -= 1
            if not ended:
                self._unclean.add(place.site_id)
                task = asyncio.create_task(self._sweep_alone(place), name=f"sweep-{place.site_id}")
                self._sweeping.add(task)
                task.add_done_callback(self._sweeping.discard)

    async def _sweep_alone(self, place: Place) -> None:
        with contextlib.suppress(SitewrightError, OSError):
            async with self._locks[place.site_id]:
                await self._sweep(place)

    async def _sweep(self, place: Place) -> None:
        """With its lock held: what others were writing when they were killed goes, unless somebody writes now."""
        if place.site_id in self._unclean and not self._writers[place.site_id]:
            await self._run(place, "sweep")
            self._unclean.discard(place.site_id)

    async def close(self) -> None:
        """Finish sweeping."""
        await asyncio.gather(*self._sweeping, return_exceptions=True)

    async def _begin(self, place: Place) -> None:
        async with self._locks[place.site_id]:
            await self._sweep(place)
            if place.site_id not in self._noted:
                note(self._shelf, place)
                self._noted[place.site_id] = place.uid
            self._writers[place.site_id] += 1
            self._writings[place.site_id] += 1

    async def run(self) -> None:
        """Tidy until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.tidy()

    async def tidy(self) -> int:
        """Look after every repository that was written to and that nobody writes to now; how many those were."""
        done = 0
        self._read_notes()
        for site_id, uid in list(self._noted.items()):
            place = Place(site_id, uid, self._repository(site_id))
            if not place.exists:
                self._forget(site_id)
            elif not self._writers[site_id]:
                done += await self._tidy(place)
        return done

    async def _tidy(self, place: Place) -> bool:
        before = self._writings[place.site_id]
        try:
            async with self._locks[place.site_id]:
                await self._sweep(place)
            # Whoever writes now is not waited for, and does not wait: git packs and prunes beside others.
            told = await self._run(place, "tidy")
        except (SitewrightError, OSError) as error:
            log.warning("repository.not_tidied", extra={"site": place.site_id, "reason": str(error)})
            return False
        log.info("repository.tidied", extra={"site": place.site_id, "told": json.dumps(told)[:500]})
        if self._writings[place.site_id] == before:
            self._forget(place.site_id)
        return True

    def _forget(self, site_id: str) -> None:
        self._noted.pop(site_id, None)
        self._locks.pop(site_id, None)
        (self._shelf / site_id).unlink(missing_ok=True)


def note(shelf: Path, place: Place) -> None:
    """Its repository is written to. For builds, whose boxes are their own: what they leave when killed has a name of its own."""
    make_folder(shelf, 0o700)
    write_atomic(shelf / place.site_id, str(place.uid).encode(), durable=False)


def told_of(output: bytes, error: str) -> dict[str, object]:
    """What tidy.py said. Raises EngineError."""
    try:
        told: dict[str, object] = json.loads(output)
    except ValueError:
        raise EngineError("The repository could not be looked after.", details=error[-300:]) from None
    return told
