"""Bringing a source into a fresh tree: archives and git inside the sandbox as the site's user, templates by copy."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from pathlib import Path

from sitewright.builder import inside
from sitewright.builder.bench import Bench
from sitewright.builder.packs.base import Step
from sitewright.bus.messages import TemplateSource, UploadSource
from sitewright.commands import git
from sitewright.domain.limits import MAX_SOURCE_BYTES, MAX_SOURCE_FILES
from sitewright.engines.base import Mount
from sitewright.errors import BuildError, NotFoundError
from sitewright.system.ownership import give_tree, make_folder

SOURCE_TARGET = "/source"
TEMPLATES = Path(__file__).with_name("templates")
_DIGEST = re.compile(r"[0-9a-f]{64}")
PYTHON = ("/usr/bin/python3", "-s", "-S", "-P")
"""Nothing of the tenant's is on its path, and the step's environment is the platform's own."""
_SCRIPTS = inside.__name__.rpartition(".")[2]


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """Argv that runs one of the platform's scripts inside the sandbox."""
    return (*PYTHON, f"/sitewright/{_SCRIPTS}/{name}.py", *arguments)


async def fetch_upload(bench: Bench, source: UploadSource, uploads: Path, work: Path, owner: tuple[int, int]) -> None:
    """Unpack an archive into ``work``/tree. Raises BuildError that names the entry, NotFoundError when the upload is gone."""
    if not _DIGEST.fullmatch(source.digest):
        raise NotFoundError("There is no such upload.", resolution="Upload the archive again.")
    shelf = work / "source"
    make_folder(shelf, 0o750, owner)
    size = await asyncio.to_thread(_copy_upload, uploads / source.digest, shelf / "archive", source.digest, owner)
    bench.log.say(f"Unpacking {source.name or 'the archive'} ({megabytes(size)}).")
    step = Step("Unpacking the archive", script("unpack", f"{SOURCE_TARGET}/archive", str(MAX_SOURCE_BYTES), str(MAX_SOURCE_FILES)))
    answer = json.loads(await bench.ask(step, work / "tree", mounts=(Mount(shelf, SOURCE_TARGET),)))
    if "message" in answer:
        raise BuildError(answer["message"], details=answer["details"], resolution=answer["resolution"])
    inner = f", from its folder {answer['top']}" if answer["top"] else ""
    bench.log.say(f"{counted(answer['files'])}{inner}.")
    shutil.rmtree(shelf)


def _copy_upload(upload: Path, target: Path, digest: str, owner: tuple[int, int]) -> int:
    """Copy it where the sandbox may read it; it must still be what its name says. Returns its bytes."""
    found = hashlib.sha256()
    size = 0
    try:
        with upload.open("rb") as reader, target.open("xb") as writer:
            while chunk := reader.read(1024 * 1024):
                found.update(chunk)
                writer.write(chunk)
                size += len(chunk)
    except FileNotFoundError as error:
        raise NotFoundError("The upload is not there any more.", resolution="Upload the archive again.") from error
    if found.hexdigest() != digest:
        raise BuildError("The upload is damaged.", resolution="Upload the archive again.")
    give_tree(target.parent, *owner)
    return size


def counted(files: int) -> str:
    """As people say it: 1 file, 2,000 files."""
    return "1 file" if files == 1 else f"{files:,} files"


def megabytes(size: int) -> str:
    """As people read it: 1.2 MB, 12 kB."""
    return f"{size / 1_000_000:.1f} MB" if size >= 100_000 else f"{max(1, size // 1000)} kB"


def copy_local(address: git.GitAddress, shelf: Path, owner: tuple[int, int]) -> tuple[git.GitAddress, tuple[Mount, ...]]:
    """Tests clone from a folder of this machine; the sandbox cannot see it, so it gets a copy."""
    folder = Path(address.removeprefix("file://"))
    if not folder.is_dir():
        raise NotFoundError("There is no such repository.", details=address)
    shutil.copytree(folder, shelf, symlinks=True)
    give_tree(shelf, *owner)
    return git.GitAddress(f"file://{SOURCE_TARGET}", allow_file=True), (Mount(shelf, SOURCE_TARGET),)


def fetch_template(source: TemplateSource, tree: Path, owner: tuple[int, int]) -> None:
    """Copy a template that ships with the platform. Raises NotFoundError that lists them."""
    names = template_names()
    if source.name not in names:
        raise NotFoundError(f"There is no template “{source.name[:40]}”.", resolution=f"There are: {', '.join(names)}.")
    ignored = shutil.ignore_patterns("template.toml", "template.svg", "__pycache__")
    shutil.copytree(TEMPLATES / source.name, tree, ignore=ignored, dirs_exist_ok=True, copy_function=shutil.copyfile)
    give_tree(tree, *owner)


def template_names() -> tuple[str, ...]:
    """The templates that ship with the platform, by name."""
    return tuple(sorted(path.parent.name for path in TEMPLATES.glob("*/template.toml")))
