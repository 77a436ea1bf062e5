"""Following the configuration in a source: reading it, keeping the folder that it names, and telling the log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sitewright.builder.config.follow import Followed, RuleFiles, build_env, finished, read_config, told, with_lines
from sitewright.builder.config.headers_file import NAME as HEADERS
from sitewright.builder.config.problems import refuse
from sitewright.builder.config.redirects_file import NAME as REDIRECTS
from sitewright.builder.detect import detect
from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.survey import decoded, survey
from sitewright.builder.tree import Tree
from sitewright.bus.messages import BuildRequest
from sitewright.domain.release import Blueprint
from sitewright.errors import BuildError
from sitewright.system.files import remove_tree

MOST_BYTES = 256 * 1024
"""Of `_redirects` and `_headers`; what is beyond is not read."""


class Following:
    """One build's configuration. ``tree``: the folder that is built; ``work``: where it may be put aside."""

    def __init__(self, request: BuildRequest, tree: Path, work: Path, say: Callable[[str], None]) -> None:
        self._request = request
        self._tree = tree
        self._aside = work / "whole"
        self._say = say
        self._given = dict(request.env)
        self._followed = Followed()
        self.moved = False
        """Whether the folder that is built is not the one that there was at first."""

    async def survey(self) -> Tree:
        """The tree that is built, once its configuration is read. Raises BuildError with the file and line of what is wrong."""
        return await asyncio.to_thread(self._survey)

    def _survey(self) -> Tree:
        tree = survey(self._tree)
        self._followed = read_config(tree)
        refuse(self._followed.problems)
        root = self._followed.config.build.root
        if not root:
            return tree
        if self._request.mode == "live":
            raise BuildError(
                "A live site is the whole folder, so [build] root cannot be followed.",
                resolution="Make the site released, or remove “root” from sitewright.toml.",
            )
        self._keep_only(root)
        return survey(self._tree)

    def _keep_only(self, root: str) -> None:
        """Put the tree aside, and its folder *root* in its place."""
        folder = self._tree
        for part in root.split("/"):
            folder = folder / part
            if folder.is_symlink() or not folder.is_dir():
                raise BuildError(
                    f"sitewright.toml says that the site is in {root}, and there is no such folder.",
                    resolution="Correct “root” in [build], and deploy again.",
                )
        self.moved = True
        self._tree.rename(self._aside)
        (self._aside / root).rename(self._tree)
        remove_tree(self._aside)

    def plan(self, tree: Tree, toolchain: Toolchain | None = None) -> PackPlan:
        """The pack's plan as the configuration wants it; without *toolchain* while the versions are not known."""
        config = self._followed.config
        if toolchain is None:
            config = replace(config, build=replace(config.build, versions=()))
        pack = detect(tree, toolchain or Toolchain(), config)
        return replace(pack, build_env=(*build_env(config, self._request.channel, self._given), *pack.build_env))

    def image_files(self, dockerfile: str) -> tuple[str, str]:
        """The text of a Dockerfile of the source and the Procfile's with the configuration's commands. Raises BuildError. Blocking."""
        text = _read_below(self._tree, tuple(part for part in dockerfile.split("/") if part not in {"", "."}))
        if not text.strip():
            raise BuildError(f"{dockerfile} is not there, or it is empty.", resolution="Correct its name in sitewright.toml, or add it.")
        return text, with_lines(survey(self._tree), self._followed.config).text("Procfile")

    async def finish(self, blueprint: Blueprint) -> Blueprint:
        """The blueprint with page rules and wishes; what is followed is told."""
        files = RuleFiles()
        if blueprint.static_root is not None:
            files = await asyncio.to_thread(read_rule_files, self._tree, blueprint.static_root)
        done, followed = await asyncio.to_thread(finished, blueprint, self._followed, files)
        for line in told(done, followed, self._given):
            self._say(line)
        return done


def read_rule_files(tree: Path, static_root: str) -> RuleFiles:
    """`_redirects` and `_headers` of the served folder, without following a link of the tenant's."""
    return RuleFiles(*(_read_below(tree, (*filter(None, static_root.split("/")), name)) for name in (REDIRECTS, HEADERS)))


def _read_below(tree: Path, parts: tuple[str, ...]) -> str:
    *folders, name = parts
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        with contextlib.suppress(OSError):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
            with os.fdopen(file, "rb") as opened:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    return decoded(opened.read(MOST_BYTES))
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return ""
