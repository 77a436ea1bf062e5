"""Files of a live folder that its .gitignore names: a database beside the code, a file of settings. They are in no commit and count as no
edit, so what is laid over the folder takes them along, as git itself would leave them where they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from sitewright.builder.bench import Bench
from sitewright.builder.packs.base import Step
from sitewright.builder.source import counted, script
from sitewright.engines.base import Mount
from sitewright.errors import BuildError

LIVE = "/live"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def ignored_files(bench: Bench, live: Path, tree: Path) -> tuple[str, ...]:
    """Names, relative to the folder *live*, of what its .gitignore leaves out, without what builds fill; () where it has none. Raises
    BuildError for more of them than can be taken along."""
    if not os.path.lexists(live / ".gitignore"):
        return ()
    told = json.loads(
        await bench.ask(Step("Looking for files that .gitignore names", script("ignored")), tree, mounts=(Mount(live, LIVE),))
    )
    if told["more"]:
        raise BuildError(
            f"The live folder has more than {counted(len(told['names']))} that .gitignore names.",
            details="They are in no commit, and would be lost. Nothing was changed.",
            resolution="Move them to the site's data folder ($SITEWRIGHT_DATA).",
        )
    return tuple(told["names"])


def take_along(live: Path, tree: Path, names: Iterable[str], owner: tuple[int, int]) -> int:
    """Link those files into *tree*, which nobody but us can change, unless it has one of that name; how many. They stay the same files: an
    app that writes to one until it is restarted loses nothing. *live* is the tenant's to change meanwhile, so no link is followed."""
    count = 0
    for name in names:
        parts = name.split("/")
        if not {"", ".", ".."}.intersection(parts):
            with contextlib.suppress(OSError):
                count += _link(live, tree, parts, owner)
    return count


def _link(live: Path, tree: Path, parts: list[str], owner: tuple[int, int]) -> bool:
    with contextlib.ExitStack() as opened:
        above, target = (os.open(top, _FOLDER) for top in (live, tree))
        opened.callback(os.close, above)
        opened.callback(os.close, target)
        for part in parts[:-1]:
            above = os.open(part, _FOLDER, dir_fd=above)
            opened.callback(os.close, above)
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o750, dir_fd=target)
                if os.geteuid() == 0:
                    os.chown(part, *owner, dir_fd=target, follow_symlinks=False)
            target = os.open(part, _FOLDER, dir_fd=target)
            opened.callback(os.close, target)
        if not stat.S_ISREG(os.lstat(parts[-1], dir_fd=above).st_mode):
            return False
        os.link(parts[-1], parts[-1], src_dir_fd=above, dst_dir_fd=target, follow_symlinks=False)
        return True
