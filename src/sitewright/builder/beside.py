"""What an app writes beside its own code, and how that outlives releases: links into the channel's data. Pure.

A release is never written to. Yet tutorials put the database next to the program; docs/decisions/004-files-beside-the-code.md says what is
done about it, and why not more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sitewright.builder.packs.base import PackPlan, Step
from sitewright.builder.tree import Tree
from sitewright.domain.processes import BESIDE_SCRIPT, LINKS_FIRST

BROUGHT = ".sitewright/brought"
MOST_PATHS = 40
FOLDERS = frozenset({"uploads", "upload", "media", "instance", "sessions", "flask_session", "logs"})
"""Names that folders for visitors' files have; taken where the tree has one, or where a source names one that is not there."""
PHP_FOLDERS = ("data", "cache", "tmp")
"""Of PHP programs that keep everything in files, as DokuWiki does; at the top, and with nothing of the program in them."""

_NAME = r"[A-Za-z0-9_][\w.-]{0,80}"
_PATH = rf"(?:{_NAME}/){{0,4}}{_NAME}"
_DATABASE = re.compile(rf"[\"'](?:sqlite(?:\+\w{{1,20}})?:///?)?(?:\./)?(?P<path>{_PATH}\.(?:db|sqlite3?))(?:\?[^\"'\n]{{0,80}})?[\"']")
_BESIDE_PHP = re.compile(rf"__DIR__\s{{0,4}}\.\s{{0,4}}[\"']/(?P<path>{_PATH}\.(?:db|sqlite3?|txt|json|csv|log))[\"']")
_WRITTEN = re.compile(
    rf"\b(?:open\(\s{{0,4}}[\"'](?:\./)?(?P<opened>{_PATH})[\"']\s{{0,4}},\s{{0,4}}(?:mode ?= ?)?[\"'][rb]?[wa]"
    rf"|(?:writeFile|appendFile)(?:Sync)?\(\s{{0,4}}[\"'](?:\./)?(?P<node>{_PATH})[\"']"
    rf"|file_put_contents\(\s{{0,4}}[\"'](?:\./)?(?P<php>{_PATH})[\"'])"
)
_FOLDER = re.compile(rf"[\"'](?:\./)?(?P<path>(?:{_NAME}/){{0,3}}(?:{'|'.join(sorted(FOLDERS))}))/?[\"']")
_DATA_FILE = re.compile(r".*\.(?:db|sqlite|sqlite3)")
_SOURCE = (".py", ".js", ".mjs", ".cjs", ".ts", ".php")
_ELSEWHERE = re.compile(r"(?:^|/)(?:tests?|fixtures|migrations|node_modules|vendor|\.[^/]+)/")


def with_places(pack: PackPlan, tree: Tree) -> PackPlan:
    """The plan with links for what the app writes beside its code, as far as the sources show it."""
    files, folders = places(tree) if pack.processes else ((), ())
    if not files and not folders:
        return pack
    link = ("/usr/bin/python3", "-I", "/sitewright/inside/beside.py", BESIDE_SCRIPT, BROUGHT, ",".join(files), ",".join(folders))
    names = ", ".join((*files, *(f"{folder}/" for folder in folders)))
    step = Step(f"What the app writes to {names} is kept in the site's data", link)
    # A copy of a warm parent runs the server alone, without what the command does first.
    processes = tuple(replace(process, command=LINKS_FIRST + process.command, warm=()) for process in pack.processes)
    return replace(pack, steps=(*pack.steps, step), processes=processes)


def places(tree: Tree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(files, folders), relative to the tree, sorted; no path is inside another."""
    datasette = "datasette" in tree.text("requirements.txt")
    files = {name for name in tree.files if _DATA_FILE.fullmatch(name) and not _ELSEWHERE.search(name) and not datasette}
    folders = {folder for folder in _folders_of(tree) if folder.rsplit("/", 1)[-1] in FOLDERS and not _holds_sources(tree, folder)}
    if any(name.endswith(".php") for name in tree.files):
        folders |= {
            name for name in PHP_FOLDERS if any(file.startswith(f"{name}/") for file in tree.files) and not _holds_sources(tree, name)
        }
    for source in tree.files:
        if source.endswith(_SOURCE) and not _ELSEWHERE.search(source):
            text = tree.text(source)
            files |= set(_named_files(text, source))
            folders |= {m["path"] for m in _FOLDER.finditer(text) if not _holds_sources(tree, m["path"])}
            if "instance_path" in text or "SQLALCHEMY_DATABASE_URI" in text:
                folders.add("src/instance" if source.startswith("src/") else "instance")
    folders |= {file.split("/")[0] for file in files if "/" in file and not any(n.startswith(f"{file.split('/')[0]}/") for n in tree.files)}
    folders = {folder for folder in folders if not any(_inside(folder, other) for other in folders)}
    files = {file for file in files if not any(_inside(file, folder) for folder in folders) and file not in folders}
    return tuple(sorted(files)[:MOST_PATHS]), tuple(sorted(folders)[:MOST_PATHS])


def _named_files(text: str, source: str) -> Iterator[str]:
    """Files that a source names to write to: as seen from the top and, as a database is often named from its module, from the source."""
    beside = source.rpartition("/")[0]
    for match in (*_DATABASE.finditer(text), *_BESIDE_PHP.finditer(text)):
        yield match["path"]
        if beside:
            yield f"{beside}/{match['path']}"
    for match in _WRITTEN.finditer(text):
        path = match["opened"] or match["node"] or match["php"]
        if not path.endswith(_SOURCE):
            yield path


def _folders_of(tree: Tree) -> set[str]:
    found: set[str] = set()
    for name in tree.files:
        parts = name.split("/")[:-1]
        if not _ELSEWHERE.search(name):
            found |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    return found


def _holds_sources(tree: Tree, folder: str) -> bool:
    """A Python package that is called “media” is code, not visitors' files."""
    return any(name.startswith(f"{folder}/") and name.endswith((*_SOURCE, ".html")) for name in tree.files)


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")
