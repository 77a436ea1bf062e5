"""One build from its request to a release folder and a droplet (released), or to the channel's folder (live)."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sitewright.builder import caches
from sitewright.builder.artefacts import Distribution, artefacts_of, read_listed
from sitewright.builder.bench import Bench, BenchSpec, StepFailedError, Subscribe
from sitewright.builder.beside import with_places
from sitewright.builder.commits import Shelf, fetch_commit, fetch_git
from sitewright.builder.droplet import LISTED, Sealed, SealOrder, seal, store_droplet
from sitewright.builder.following import Following
from sitewright.builder.ignored import ignored_files
from sitewright.builder.images.build import ImageBuild, Place, engine_for_images
from sitewright.builder.log import BuildLog
from sitewright.builder.open_box import OpenBox
from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.plan import BuildPlan, Situation, make_blueprint, make_plan
from sitewright.builder.replacing import move_tree, replace_live_folder
from sitewright.builder.scan import leaked, secret_in_tree
from sitewright.builder.secrets import searched, values_of
from sitewright.builder.source import counted, fetch_template, fetch_upload, megabytes
from sitewright.builder.survey import survey
from sitewright.bus.messages import (
    Artefacts,
    Author,
    BuildRequest,
    CommitSource,
    FolderSource,
    GitSource,
    ImageSource,
    TemplateSource,
    UploadSource,
)
from sitewright.config.paths import Paths
from sitewright.config.settings import Settings
from sitewright.domain.limits import BUILD_LIMITS, BUILD_TIMEOUT_SECONDS, MIB, Limits
from sitewright.domain.release import Blueprint
from sitewright.engines.base import Engine
from sitewright.errors import BuildError, InvalidValueError
from sitewright.repository.place import Places
from sitewright.system.accounts import tenant_uid
from sitewright.system.clock import Clock
from sitewright.system.files import remove_tree
from sitewright.system.ownership import PASSABLE, SITE, make_folder, make_site_folders, site_owner
from sitewright.system.packages import Packages, php_version
from sitewright.system.processes import CommandFailedError, Runner

STACK = "host"
CACHE_SLACK_BYTES = 1024**3
"""While a build runs, its caches may exceed what is kept of them by this much."""


class CommitTree(Protocol):
    """Keeps a source that is not from git as a commit of the site's repository."""

    async def __call__(self, site_id: str, number: int, tree: Path, parent: str, author: Author) -> str:
        """Commit the files of *tree* on top of *parent* ("" is none) and return the commit; the parent itself when nothing differs."""
        ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all builds of this node share."""

    settings: Settings
    engine: Engine
    clock: Clock
    runner: Runner
    packages: Packages
    tools: Path
    network_env: tuple[tuple[str, str], ...]
    subscribe: Subscribe
    distribution: Distribution
    commit_tree: CommitTree | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made."""

    blueprint: Blueprint
    sealed: Sealed
    artefacts: Artefacts
    commit: str = ""


COLOURS = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "PY_COLORS": "1", "NPM_CONFIG_COLOR": "always"}
"""There is no terminal, but the log shows colours. None of these makes a program draw on the screen; NO_COLOR wants none."""

Report = Callable[[str], Awaitable[None]]
"""Told each time when a build enters a phase, in words for a person."""


class BuildRun:
    """One build. ``bench`` is where it can be cancelled; once ``publishing`` it cannot be any more, and ends within milliseconds."""

    def __init__(self, shop: Workshop, request: BuildRequest, log: BuildLog, report: Report, limits: Limits = BUILD_LIMITS) -> None:
        self._shop = shop
        self._request = request
        self._log = log
        self._report = report
        self._paths: Paths = shop.settings.paths
        self._live = request.mode == "live"
        self._uid = tenant_uid(shop.settings.uid_base, request.number)
        self._owner = site_owner(self._uid)
        self._work = self._paths.builds / request.build_id / "work"
        self._out = self._work / "out"
        self._in_place = isinstance(request.source, FolderSource)
        self._live_folder = self._paths.live_folder(request.site_id, request.channel)
        self._kept: tuple[str, ...] = ()
        """Files of the live folder that what is built takes along."""
        self._tree = self._live_folder if self._in_place else self._work / "tree"
        self._following = Following(request, self._tree, self._work, log.say)
        self._cache = self._paths.caches / request.site_id
        self.cache = caches.folder_of(self._cache, request.channel, foreign=request.foreign)
        self.searched = searched(values_of(request.env, request.secrets))
        self.publishing = False
        self._limits = limits
        self._deadline = shop.clock.steady() + BUILD_TIMEOUT_SECONDS
        self._left: OpenBox | None = None
        self._box: OpenBox | None = None
        """In which the commit was laid out, as long as nothing else has to happen before the tree is sealed."""
        self.bench = self._make_bench(limits)

    def _make_bench(self, limits: Limits) -> Bench:
        spec = BenchSpec(
            uid=self._uid,
            tools=self._shop.tools,
            cache=self.cache,
            env=self._environment(),
            deadline=self._deadline,
            quota_bytes=self._request.quota_bytes,
            limits=limits,
            cache_bytes=self._shop.settings.build_cache_mb * MIB + CACHE_SLACK_BYTES,
        )
        return Bench(self._shop.engine, self._shop.clock, self._shop.subscribe, spec, self._log)

    def _environment(self) -> tuple[tuple[str, str], ...]:
        """Base, then mirrors, then the channel's own variables."""
        base = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - the sandbox's own
            "LANG": "C.UTF-8",
            "CI": "1",
            "SITEWRIGHT_BUILD": "1",
            "SITEWRIGHT_DATA": "/tmp",  # noqa: S108 - a build never sees the channel's data
            "UV_CACHE_DIR": "/cache/uv",
            "UV_LINK_MODE": "copy",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON": "/usr/bin/python3",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_COMPILE_BYTECODE": "1",
            "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
            "PYTHONHASHSEED": "0",
            "NPM_CONFIG_CACHE": "/cache/npm",
            "NPM_CONFIG_UPDATE_NOTIFIER": "false",
            "NPM_CONFIG_PROGRESS": "false",
        }
        if "NO_COLOR" not in dict(self._request.env):
            base.update(COLOURS)
        return tuple({**base, **dict(self._shop.network_env), **dict(self._request.env)}.items())

    async def run(self) -> Built:
        """Do it all. Raises SitewrightError; whatever happens, what ran before is untouched."""
        self._prepare()
        try:
            return await self._make()
        finally:
            await self._close_box()

    async def _make(self) -> Built:
        if isinstance(self._request.source, ImageSource):
            return await self._run_image(self._request.source.reference, None, "")
        await self._report("Fetching the source")
        commit = await self._fetch()
        commit = await self._record() or commit
        pack, plan = await self._decide()
        if pack.dockerfile:
            return await self._run_image("", pack, commit)
        await self._report("Building")
        await self._build(pack, plan)
        blueprint = make_blueprint(pack, await asyncio.to_thread(survey, self._tree), STACK)
        blueprint = await self._following.finish(blueprint)
        await self._report("Packing")
        sealed = await self._seal(pack, blueprint)
        await asyncio.to_thread(check_served, self._tree, blueprint.static_root or "")
        artefacts = await self._artefacts(pack)
        if self._live and not self._in_place:
            self._kept = await ignored_files(self.bench, self._live_folder, self._tree)
        self.bench.check_cancelled()
        self.publishing = True
        await asyncio.to_thread(self._publish, sealed, plan)
        self._log.say(f"Built: {counted(sealed.files)}, {megabytes(sealed.size_bytes)}.")
        return Built(blueprint, sealed, artefacts, commit)

    async def _run_image(self, reference: str, pack: PackPlan | None, commit: str) -> Built:
        """A site that is an image: of a registry, or of a Dockerfile in the source."""
        await self._close_box()
        if self._live:
            raise BuildError(
                "A live site is a folder that is edited; an image cannot be.", resolution="Make the site released, and deploy again."
            )
        seconds = self._deadline - self._shop.clock.steady()
        place = Place(self._work, self._uid, self._owner, self._limits, seconds, self.searched)
        images = ImageBuild(self._shop.settings, engine_for_images(self._shop.engine), self._request, self.bench, place)
        await self._report("Building the image" if pack else "Fetching the image")
        made = await (images.built(self._tree, pack, self._following) if pack else images.fetched(reference))
        blueprint = await self._following.finish(made.blueprint)
        await self._report("Packing")
        self._tree = await images.sealed_tree(made)
        sealed = await seal(self.bench, self._tree, SealOrder(quota_bytes=0, out=self._out))
        await images.keep(made, sealed.digest)
        self.bench.check_cancelled()
        self.publishing = True
        await asyncio.to_thread(self._publish, sealed, BuildPlan(()))
        # What its commands have fetched by themselves is in no list.
        return Built(blueprint, sealed, Artefacts(build_id=self._request.build_id, components=made.components, complete=False), commit)

    def _prepare(self) -> None:
        request = self._request
        make_site_folders(self._paths, request.site_id, request.channel, self._uid)
        remove_tree(self._work)
        make_folder(self._work, PASSABLE)
        if not self._in_place:
            make_folder(self._work / "tree", SITE, self._owner)
        make_folder(self._out, 0o700, (self._uid, self._uid))
        make_folder(self._paths.caches, PASSABLE)
        make_folder(self._cache, PASSABLE)
        make_folder(self.cache, 0o700, (self._uid, self._uid))

    async def _fetch(self) -> str:
        """Fill the tree; the commit when it is from git."""
        source = self._request.source
        if isinstance(source, UploadSource):
            await fetch_upload(self.bench, source, self._paths.uploads, self._work, self._owner)
        elif isinstance(source, GitSource):
            await self._ensure("git")
            return await fetch_git(self.bench, source, self._shelf())
        elif isinstance(source, CommitSource):
            commit, self._box = await fetch_commit(self.bench, source, self._shelf(), self._out)
            return commit
        elif isinstance(source, TemplateSource):
            self._log.say(f"Taking the template {source.name}.")
            fetch_template(source, self._work / "tree", self._owner)
        elif not self._live:
            raise InvalidValueError("A released channel is not built from its live folder.")
        return ""

    def _shelf(self) -> Shelf:
        places = Places(self._shop.settings)
        place = places.of(self._request.site_id, self._request.number)
        tools, notes, allowed = self._paths.repository_tools, self._paths.repository_notes, self._shop.settings.git_file_urls
        return Shelf(places, place, tools, notes, self._work, self._owner, allow_file=allowed)

    async def _ensure(self, runtime: str) -> None:
        """Shielded: a build can be cancelled, what it has begun to install on the machine is ended properly."""
        await asyncio.shield(self._shop.packages.ensure(runtime, self._say_if_open))

    def _say_if_open(self, text: str) -> None:
        if not self.bench.cancelled.is_set():
            self._log.say(text)

    async def _record(self) -> str:
        """Keep a source that is not from git in the site's repository; the commit, "" when that is not wished."""
        author = self._request.record
        if author is None or self._shop.commit_tree is None:
            return ""
        await self._report("Keeping the source")
        commit = await self._shop.commit_tree(self._request.site_id, self._request.number, self._tree, self._request.record_parent, author)
        self._log.say(f"Kept as commit {commit[:12]}.")
        return commit

    async def _decide(self) -> tuple[PackPlan, BuildPlan]:
        tree = await self._following.survey()
        pack = self._following.plan(tree)
        if self._following.moved or pack.needs or self._live:
            # What follows may take its time, or is not about the folder that the box has.
            self._leave_box()
        for runtime in pack.needs:
            await self._ensure(runtime)
        pack = self._following.plan(tree, await self._toolchain(pack.needs))
        if not self._live and not pack.dockerfile:
            pack = with_places(pack, tree)
        for note in pack.notes:
            self._log.say(note)
        return pack, make_plan(pack, self._situation(pack))

    async def _toolchain(self, needs: tuple[str, ...]) -> Toolchain:
        versions = {name: await self._version(name) for name in ("python", "node") if name in needs}
        return Toolchain(python=versions.get("python", ""), node=versions.get("node", ""), php=php_version(), machine=platform.machine())

    async def _version(self, name: str) -> str:
        argv = {"python": ("/usr/bin/python3", "--version"), "node": ("/usr/bin/node", "--version")}[name]
        try:
            done = await self._shop.runner.run(argv, timeout=20)
        except CommandFailedError:
            return ""
        return done.output.decode(errors="replace").strip()

    def _situation(self, pack: PackPlan) -> Situation:
        """What is in the site's cache, and what the live folder has installed already."""
        kept = caches.kept_archives(self.cache)
        for install in pack.installs:
            if install.fingerprint in kept:
                caches.note_use(self.cache, install.fingerprint)
            elif kept and install.fingerprint:
                self._log.say(f"{install.what} have changed since the last build. What was downloaded before is in the site's cache.")
        present: set[str] = set()
        if self._in_place and self._installed_note.exists():
            noted = set(self._installed_note.read_text(encoding="utf-8").split())
            folders = {i.fingerprint: self._tree / i.folder for i in pack.installs}
            present = {mark for mark in noted if mark in folders and folders[mark].is_dir() and not folders[mark].is_symlink()}
        return Situation(kept, frozenset(present))

    @property
    def _installed_note(self) -> Path:
        """Fingerprints that the live folder's dependencies were installed for; beside the cache, where no tenant can write."""
        return self._cache / f"{self._request.channel}.installed"

    async def _build(self, pack: PackPlan, plan: BuildPlan) -> None:
        try:
            await self._run_steps(pack, plan)
        except StepFailedError as error:
            if error.step.title not in plan.restored:
                raise
            self._log.say("What was kept from the last build cannot be used. Installing again.")
            await self._run_steps(pack, make_plan(pack, Situation()))

    async def _run_steps(self, pack: PackPlan, plan: BuildPlan) -> None:
        if plan.steps:
            self._leave_box()
        for step in plan.steps:
            await self._report(step.title)
            await self.bench.run(step, self._tree, env=pack.build_env)

    async def _seal(self, pack: PackPlan, blueprint: Blueprint) -> Sealed:
        order = SealOrder(quota_bytes=self._request.quota_bytes, out=self._out, packed=not self._live, searched=self.searched)
        if not self._live:
            dropped = pack.dropped if blueprint.is_static else ()
            order = replace(order, dropped=dropped, compiled="python" in pack.needs and bool(pack.processes))
        elif self.searched and not self._in_place:
            found = await asyncio.to_thread(secret_in_tree, self._tree, self.searched)
            if found is not None:
                raise leaked(*found)
        return await seal(self.bench, self._tree, order, self._box)

    def _leave_box(self) -> None:
        """The tree is sealed in a box of its own; this one ends meanwhile."""
        if self._box is not None:
            self._box.leave()
            self._left, self._box = self._box, None

    async def _close_box(self) -> None:
        box, self._box, self._left = self._box or self._left, None, None
        if box is not None:
            await box.close()

    async def _artefacts(self, pack: PackPlan) -> Artefacts:
        env = {**dict(self._shop.network_env), **dict(self._request.env)}
        listed = await asyncio.to_thread(read_listed, self._out / LISTED, env)
        return artefacts_of(self._request.build_id, listed, await self._shop.distribution.components(pack.needs))

    def _publish(self, sealed: Sealed, plan: BuildPlan) -> None:
        """Put the result where it is run from; the last thing that can fail."""
        request = self._request
        if self._live:
            if not self._in_place and (kept := replace_live_folder(self._live_folder, self._tree, self._kept, self._owner)):
                self._log.say(f"Kept {counted(kept)} of the live folder that .gitignore names.")
            self._installed_note.write_text("\n".join(plan.installed), encoding="utf-8")
            return
        store_droplet(self._out, sealed.digest, self._paths.droplets)
        target = self._paths.release(request.site_id, request.channel, request.release_number)
        move_tree(self._tree, target, self._owner)


def check_served(tree: Path, static_root: str) -> None:
    """Raise BuildError when the folder that the router is to serve, or one above it, is a link: it could lead out of the site."""
    folder = tree
    for part in filter(None, static_root.split("/")):
        folder = folder / part
        if folder.is_symlink():
            raise BuildError(
                f"The folder {static_root} is a link.",
                details="Its files are served to visitors, so it must be a folder of the site itself.",
                resolution="Put the files into the folder, and deploy again.",
            )
