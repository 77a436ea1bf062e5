"""Commits as sources: laid into a fresh tree in one step, with their submodules; foreign repositories fetched into the site's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitewright.builder.bench import Bench
from sitewright.builder.droplet import OUT_TARGET, out_mount
from sitewright.builder.open_box import NAME, OpenBox
from sitewright.builder.packs.base import Step
from sitewright.builder.source import copy_local, counted, megabytes, script
from sitewright.bus.messages import CommitSource, GitSource
from sitewright.commands import git
from sitewright.commands import git_repository as repository
from sitewright.domain.identity import new_id
from sitewright.domain.limits import MAX_SOURCE_BYTES, MAX_SOURCE_FILES
from sitewright.engines.base import Mount
from sitewright.errors import BuildError, QuotaError, SitewrightError
from sitewright.repository import upkeep
from sitewright.repository.box import lay_out_tools
from sitewright.repository.place import Place, Places
from sitewright.system.ownership import make_folder

MOST_SUBMODULES = 20
DEEPEST_SUBMODULE = 3
_ENVIRONMENT = (*(item for item in repository.ENVIRONMENT if item[0] not in ("PATH", "HOME", "LANG")),)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a commit is laid out from and to: the site's repository, and the build's folder with `tree` in it."""

    places: Places
    place: Place
    tools: Path
    """Where configuration for repositories is laid out (Paths.repository_tools)."""
    notes: Path
    """Where repositories that were written to are noted (Paths.repository_notes)."""
    work: Path
    owner: tuple[int, int]
    allow_file: bool = False
    """Tests only: addresses that begin with file:// or http://."""

    def mounts(self, *, writable: bool = False) -> tuple[Mount, ...]:
        """The repository, with our configuration over its own."""
        tools = lay_out_tools(self.tools)
        own = Mount(self.place.folder, repository.REPOSITORY, writable=writable)
        return (own, Mount(tools / "config", f"{repository.REPOSITORY}/config"), Mount(tools, repository.TOOLS))


@dataclass(slots=True)
class _Room:
    """What is left for files of a commit and its submodules."""

    bytes: int = MAX_SOURCE_BYTES
    files: int = MAX_SOURCE_FILES
    submodules: int = 0


async def fetch_commit(bench: Bench, source: CommitSource, shelf: Shelf, out: Path) -> tuple[str, OpenBox | None]:
    """Lay the commit into ``work``/tree; its id, and the box that did it, in which the tree can be sealed into *out*: close it. There is
    none when submodules had to be fetched. Raises BuildError."""
    repository.commit_id(source.commit)
    if not shelf.place.exists:
        raise BuildError("This site has no repository yet.", resolution="Push to it first.")
    room = _Room()
    step = _laying(source.commit, "", room, f"{OUT_TARGET}/{NAME}")
    async with contextlib.AsyncExitStack() as stack:
        box = bench.begin(step, shelf.work / "tree", out, mounts=(*shelf.mounts(), out_mount(out)))
        stack.push_async_callback(box.close)
        laid = _laid(json.loads(await box.answer()), "", room)
        if not laid["submodules"]:
            stack.pop_all()
    await _finish(bench, shelf, laid, room)
    return str(laid["commit"]), None if laid["submodules"] else box


async def _lay(bench: Bench, shelf: Shelf, name: str) -> str:
    room = _Room()
    laid = await _lay_one(bench, shelf, name, "", room, shelf.mounts())
    await _finish(bench, shelf, laid, room)
    return str(laid["commit"])


async def _finish(bench: Bench, shelf: Shelf, laid: dict[str, Any], room: _Room) -> None:
    bench.log.say(f"Commit {laid['commit'][:12]}: {counted(laid['files'])}, {megabytes(laid['bytes'])}.")
    await _lay_submodules(bench, shelf, laid["submodules"], "", room, 1)


async def _lay_one(bench: Bench, shelf: Shelf, name: str, folder: str, room: _Room, mounts: tuple[Mount, ...]) -> dict[str, Any]:
    step = _laying(name, folder, room)
    return _laid(json.loads(await bench.ask(step, shelf.work / "tree", mounts=mounts)), folder, room)


def _laying(name: str, folder: str, room: _Room, *then: str) -> Step:
    target = f"/app/{folder}".rstrip("/")
    words = (repository.REPOSITORY, name, target, str(room.bytes), str(room.files), *then)
    return Step("Laying out the commit", script("lay", *words), env=_ENVIRONMENT)


def _laid(answer: dict[str, Any], folder: str, room: _Room) -> dict[str, Any]:
    if "message" in answer:
        where = f" (submodule {folder})" if folder else ""
        raise BuildError(answer["message"], details=f"{answer['details']}{where}", resolution=answer["resolution"])
    room.bytes -= int(answer["bytes"])
    room.files -= int(answer["files"])
    return answer


async def _lay_submodules(bench: Bench, shelf: Shelf, listed: list[list[str]], above: str, room: _Room, depth: int) -> None:
    for path, url, commit in listed:
        folder = f"{above}/{path}".lstrip("/")
        room.submodules += 1
        if room.submodules > MOST_SUBMODULES or depth > DEEPEST_SUBMODULE:
            raise BuildError("There are too many submodules.", resolution=f"At most {MOST_SUBMODULES}, {DEEPEST_SUBMODULE} deep.")
        mounts = await _fetch_submodule(bench, shelf, folder, url, commit, room)
        laid = await _lay_one(bench, shelf, commit, folder, room, mounts)
        await _lay_submodules(bench, shelf, laid["submodules"], folder, room, depth + 1)


async def _fetch_submodule(bench: Bench, shelf: Shelf, folder: str, url: str, commit: str, room: _Room) -> tuple[Mount, ...]:
    """Fetch it into a repository of its own, without anybody's password; the mounts to lay it out from."""
    try:
        address = git.GitAddress(git.GitAddress(url, allow_file=shelf.allow_file).shown, allow_file=shelf.allow_file)
    except SitewrightError as error:
        raise _bad_submodule(folder, url) from error
    if address.protocol not in ("https", *(("http", "file") if shelf.allow_file else ())):
        raise _bad_submodule(folder, url)
    bench.log.say(f"Fetching the submodule {folder} from {address.shown}.")
    own = shelf.work / "submodules" / str(room.submodules)
    make_folder(own.parent, 0o711)
    make_folder(own, 0o700, shelf.owner)
    local: tuple[Mount, ...] = ()
    if address.protocol == "file":
        address, local = copy_local(address, shelf.work / f"source-{room.submodules}", shelf.owner)
    mounts = (Mount(own, repository.REPOSITORY, writable=True), *local)
    await bench.run(_taking(address, commit, "fetched", room.bytes, f"Fetching the submodule {folder}"), shelf.work / "tree", mounts=mounts)
    return (Mount(own, repository.REPOSITORY),)


def _taking(address: git.GitAddress, name: str, kept: str, most_bytes: int, title: str) -> Step:
    user, password = address.credential
    # Not in the argument, which every process of the machine can read.
    told = {"server": address.server, "user": user, "password": password or user}
    secret = (("SITEWRIGHT_CREDENTIAL", json.dumps(told)),) if user else ()
    return Step(
        title,
        script("take", address.protocol, address.shown, name, kept, str(max(most_bytes, 1))),
        env=(*_ENVIRONMENT, *git.environment(address), *secret),
        network=True,
        advice="Check the address and the branch; a private repository needs a token in its address.",
    )


def _bad_submodule(folder: str, url: str) -> BuildError:
    return BuildError(
        "A submodule cannot be fetched from its address.",
        details=f"“{folder}” is at “{url[:100]}”.",
        resolution="Submodules are fetched over https:// only; change the address in .gitmodules.",
    )


async def fetch_git(bench: Bench, source: GitSource, shelf: Shelf) -> str:
    """Fetch a foreign repository into the site's own, lay it into ``work``/tree, and return the commit. Raises InvalidValueError,
    BuildError, QuotaError."""
    address = git.GitAddress(source.url, allow_file=shelf.allow_file)
    ref = git.GitRef(source.ref)
    await asyncio.to_thread(shelf.places.make, shelf.place)
    room = shelf.places.most_bytes - await shelf.places.size(shelf.place)
    if room <= 0:
        raise QuotaError("The site's repository takes as much as it may.", resolution="Remove large files from its history.")
    bench.log.say(f"Fetching {address.shown}{f' at {ref}' if ref else ''}.")
    local: tuple[Mount, ...] = ()
    if address.protocol == "file":
        address, local = copy_local(address, shelf.work / "source", shelf.owner)
    # A name of its own: another channel of the site may fetch at the same time, and one that was killed leaves no lock for the next.
    kept = f"fetching/{new_id()}"
    upkeep.note(shelf.notes, shelf.place)
    step = _taking(address, ref, kept, room, "Fetching the repository")
    await bench.run(step, shelf.work / "tree", mounts=(*shelf.mounts(writable=True), *local))
    return await _lay(bench, shelf, ref if ref.is_commit else f"refs/sitewright/{kept}")


def clean(work: Path) -> None:
    """Remove what fetching has left beside the tree."""
    for path in work.glob("source*"):
        shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(work / "submodules", ignore_errors=True)
