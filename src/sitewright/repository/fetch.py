"""Fetching foreign repositories into sites' own, in the background: asked again with the same id, nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections import OrderedDict, defaultdict
from pathlib import Path
from urllib.parse import urlsplit

from sitewright.bus.messages import Credential, RepositoryFetch, RepositoryFetched
from sitewright.commands import git_repository as commands
from sitewright.commands.git import GitAddress
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.engines.base import Mount
from sitewright.errors import InvalidValueError, QuotaError, SitewrightError
from sitewright.repository.box import Box, Boxes
from sitewright.repository.place import Place, Places
from sitewright.system.ownership import give_tree

log = logging.getLogger(__name__)

SECONDS = 900.0
ANSWER_SECONDS = 3.0
"""So long a question waits for the end, then it is answered with ``running``."""
MOST_REMEMBERED = 200
MOST_AT_ONCE = 8
MOST_OF_A_TEAM = 2
MOST_REFS = 200
_LOCAL = "/source"


class Fetches:
    """Those under way and those that ended lately."""

    def __init__(self, settings: Settings, boxes: Boxes, places: Places) -> None:
        self._settings = settings
        self._boxes = boxes
        self._places = places
        self._known: OrderedDict[str, asyncio.Task[RepositoryFetched]] = OrderedDict()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._rooms: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MOST_OF_A_TEAM))

    async def fetch(self, request: RepositoryFetch) -> RepositoryFetched:
        """Begin it, or learn how it is doing. Raises InvalidValueError for an address or a reference that cannot be."""
        place = self._places.of(request.site_id, request.number)
        address = address_of(request, allow_file=self._settings.git_file_urls)
        key = f"{request.site_id}/{request.request or new_id()}"
        task = self._known.get(key)
        if task is None:
            task = asyncio.create_task(self._run(place, address, request), name=f"fetch-{key}")
            self._known[key] = task
            self._forget()
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        return task.result() if done else RepositoryFetched(running=True)

    def _forget(self) -> None:
        for key in [key for key, task in self._known.items() if task.done()][: max(0, len(self._known) - MOST_REMEMBERED)]:
            del self._known[key]

    async def _run(self, place: Place, address: GitAddress, request: RepositoryFetch) -> RepositoryFetched:
        try:
            async with self._rooms[request.team_id], self._room:
                return await self._fetch(place, address, request)
        except SitewrightError as error:
            return RepositoryFetched(problem=error.message, details=f"{error.details} {error.resolution}".strip())
        except (OSError, ValueError) as error:
            log.exception("git.fetch_failed", extra={"site": place.site_id})
            return RepositoryFetched(problem="The repository could not be fetched.", details=str(error)[:300])

    async def _fetch(self, place: Place, address: GitAddress, request: RepositoryFetch) -> RepositoryFetched:
        await asyncio.to_thread(self._places.make, place)
        room = self._places.most_bytes - await self._places.size(place)
        if room <= 0:
            raise QuotaError("The site's repository takes as much as it may.", resolution="Remove large files from its history.")
        local = await asyncio.to_thread(self._copy_local, address, place)
        try:
            mounts = (Mount(local, _LOCAL),) if local is not None else ()
            told = told_to(address if local is None else GitAddress(f"file://{_LOCAL}", allow_file=True), request, room)
            argv = commands.script("fetch")
            box = Box(argv, mounts=mounts, writable=True, network=local is None, seconds=SECONDS, most_file_bytes=room)
            answer = await self._boxes.ask(place, box, json.dumps(told).encode() + b"\n")
        finally:
            if local is not None:
                await asyncio.to_thread(shutil.rmtree, local, ignore_errors=True)
        if not answer.output.startswith(b"{"):
            return RepositoryFetched(problem="The repository could not be fetched.", details=answer.error[-300:])
        said = json.loads(answer.output)
        if "problem" in said:
            return RepositoryFetched(problem=explained(said["problem"]), details=without_secrets(said["problem"], request.credential))
        return RepositoryFetched.model_validate(said)

    def _copy_local(self, address: GitAddress, place: Place) -> Path | None:
        """Tests fetch from a folder of this machine, which no box can see: it gets a copy."""
        if address.protocol != "file":
            return None
        copy = self._places.aside()
        shutil.copytree(address.removeprefix("file://"), copy, symlinks=True)
        give_tree(copy, place.uid, place.uid)
        return copy

    async def close(self) -> None:
        """End those under way; whoever asked asks again."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)


def address_of(request: RepositoryFetch, *, allow_file: bool) -> GitAddress:
    """The address to fetch from. Raises InvalidValueError."""
    address = GitAddress(request.url, allow_file=allow_file, allow_ssh=True)
    if urlsplit(address).password:
        raise InvalidValueError("The address holds a password.", resolution="Give the token by itself, not in the address.")
    if len(request.refs) > MOST_REFS:
        raise InvalidValueError(f"More than {MOST_REFS} branches at a time.")
    for name in request.refs:
        commands.ref_name(name)
    return address


def told_to(address: GitAddress, request: RepositoryFetch, most_bytes: int) -> dict[str, object]:
    """What the script inside is told."""
    parts = urlsplit(address)
    credential = request.credential or Credential()
    return {
        "url": str(address),
        "protocol": address.protocol,
        "server": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        "refs": list(request.refs),
        "user": credential.user,
        "password": credential.password,
        "ssh_key": credential.ssh_key,
        "known_hosts": credential.known_hosts,
        "most_bytes": most_bytes,
    }


def explained(problem: str) -> str:
    """git's words in ours, where we know them."""
    known = (
        (
            ("Authentication failed", "could not read Username", "could not read Password", "Permission denied", "403"),
            "It does not let us in.",
        ),
        (("Host key verification failed", "REMOTE HOST IDENTIFICATION"), "The server shows another key than the one that is known."),
        (
            ("not found", "does not exist", "does not appear to be a git repository", "404"),
            "There is no such repository, or it is not ours to see.",
        ),
        (("couldn't find remote ref",), "There is no such branch or tag."),
        (
            ("Could not resolve host", "Connection refused", "timed out", "unreachable", "Failed to connect"),
            "The server cannot be reached.",
        ),
        (("File too large", "file size limit", "signal 25"), "The repository is larger than a site's may be."),
        (("fsck error", "fatal: fsck"), "The repository holds something that git takes for an attack."),
    )
    for words, sentence in known:
        if any(word in problem for word in words):
            return sentence
    return "The repository could not be fetched."


def without_secrets(text: str, credential: Credential | None) -> str:
    """*text* without the password, should a server have said it back."""
    if credential is not None and credential.password:
        text = text.replace(credential.password, "…")
    return text[:500]
