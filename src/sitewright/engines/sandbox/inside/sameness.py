"""Whether what the warm parent has imported is what the tenant's environment would give, file for file.

Stand-alone, see entering.py. A snapshot is made by the parent after its imports; a copy of it, as the tenant, compares.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

ENVIRONMENT = "/app/.venv"
SITE = f"{ENVIRONMENT}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
_EXTENSIONS = (".so",)
_UNSAFE_VARIABLES = ("LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "LC_", "GCONV_PATH", "LOCPATH")
"""Read when a program begins, not when it asks."""
_KNOWN_PYTHON_VARIABLES = frozenset({"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})
_CHANGES_EVERYTHING = frozenset({"sitecustomize", "usercustomize", "gevent", "eventlet"})
"""Modules that change the interpreter for everybody, or want to do so before anything else is imported."""
_SETTLED_NANOSECONDS = 2_000_000_000
"""A file that was changed so lately may be changed again without its times telling."""


class OrdinaryStartError(Exception):
    """Only the ordinary command does what the tenant would see; the text says why."""


class Missed:
    """A finder that finds nothing, and notes which top-level names were looked for in vain (`try: import simplejson`)."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - importlib's protocol
        if path is None:
            self.names.add(name)


class _Watched(os._Environ[str]):
    """os.environ while modules are imported: notes which module asks for which variable, and what it is told."""

    asked: ClassVar[dict[tuple[str, str], str | None]] = {}

    def __getitem__(self, key: str) -> str:
        try:
            value: str | None = super().__getitem__(key)
        except KeyError:
            value = None
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back  # type: ignore[assignment]
        self.asked[str(frame.f_globals.get("__name__")) if frame is not None else "", key] = value
        if value is None:
            raise KeyError(key)
        return value


@contextlib.contextmanager
def watching_variables() -> Iterator[None]:
    """While this lasts it is noted which variables decide how modules turn out (gunicorn's defaults do)."""
    kind = type(os.environ)
    os.environ.__class__ = _Watched
    try:
        yield
    finally:
        os.environ.__class__ = kind


@dataclass
class Snapshot:
    """What the parent has: ``files`` is module → (path, CRC-32) of modules from packages; ``owner`` module → package; ``versions`` and
    ``requires`` by package."""

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    requires: dict[str, frozenset[str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    missed: frozenset[str] = frozenset()
    asked: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """(module, variable) → what it was told while it was imported."""
    digest: bytes = b""
    """Of ``files``."""
    taken: frozenset[str] = frozenset()
    """Names that no file of the tenant's may have where it would be found first. Made ahead: in a copy each value that is touched costs."""
    unwelcome: frozenset[str] = frozenset()
    """Names that were not to be had here, and must not be there either."""


def normalised(name: str) -> str:
    """PEP 503, with `_` as in the names of folders."""
    return re.sub(r"[-_.]+", "_", name).lower()


def checksum(path: str) -> int:
    """Of a file's contents. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = 0
        while piece := os.read(descriptor, 1 << 20):
            found = zlib.crc32(piece, found)
        return found
    finally:
        os.close(descriptor)


def take_snapshot(missed: Missed) -> Snapshot:
    """Of this process. Raises OrdinaryStartError for a module that belongs to no package."""
    snapshot = Snapshot(names=frozenset(name.partition(".")[0] for name in sys.modules), missed=frozenset(missed.names))
    owners: dict[str, str] = {}
    for found in importlib.metadata.distributions(path=[SITE]):
        package = normalised(found.metadata["Name"])
        snapshot.versions[package] = found.version
        needed = (re.match(r"[\w.-]+", line) for line in found.requires or ())
        snapshot.requires[package] = frozenset(normalised(match[0]) for match in needed if match)
        for file in found.files or ():
            owners[f"{SITE}/{file}"] = package
    for name, module in tuple(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path.startswith(f"{SITE}/"):
            if path not in owners:
                raise OrdinaryStartError(f"{name} belongs to no package")
            snapshot.owner[name] = owners[path]
            snapshot.files[name] = (path, checksum(path))
    imported = frozenset(snapshot.owner.values())
    snapshot.versions = {name: version for name, version in snapshot.versions.items() if name in imported}
    snapshot.settings = environment_settings()
    snapshot.asked = {key: value for key, value in _Watched.asked.items() if key[0] != "__main__"}
    snapshot.unwelcome = snapshot.missed | _CHANGES_EVERYTHING
    snapshot.taken = snapshot.names | snapshot.unwelcome
    snapshot.digest = hashlib.blake2b(repr(sorted(snapshot.files.items())).encode()).digest()
    return snapshot


def environment_settings() -> dict[str, str]:
    """What decides how the virtual environment's Python begins. Raises OSError."""
    with open(f"{ENVIRONMENT}/pyvenv.cfg", encoding="utf-8") as file:
        lines = dict(line.split("=", 1) for line in file.read().splitlines() if "=" in line)
    settings = {key.strip(): value.strip() for key, value in lines.items()}
    kept = {key: settings.get(key, "") for key in ("home", "version_info", "include-system-site-packages")}
    return {**kept, "python": os.path.realpath(f"{ENVIRONMENT}/bin/python")}


def check_variables(env: dict[str, str]) -> None:
    """Raises OrdinaryStartError when a variable changes how the interpreter begins."""
    for name, value in env.items():
        if name.startswith("PYTHON") and name not in _KNOWN_PYTHON_VARIABLES:
            raise OrdinaryStartError(name)
        if name.startswith(_UNSAFE_VARIABLES) or (name == "LANG" and value != "C.UTF-8"):
            raise OrdinaryStartError(name)
    if not env.get("PYTHONUNBUFFERED"):
        raise OrdinaryStartError("PYTHONUNBUFFERED")


def check_shadows(snapshot: Snapshot, folders: tuple[str, ...]) -> None:
    """Raises OrdinaryStartError when a file of the tenant's has the name of a module that is imported already, or was not to be had."""
    for folder in folders:
        for entry in _listing(folder):
            stem = entry.partition(".")[0]
            if stem in snapshot.taken and (entry != stem or os.path.exists(f"{folder}/{entry}/__init__.py")):
                raise OrdinaryStartError(f"{folder}/{entry}")


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def differently_told(snapshot: Snapshot, env: dict[str, str]) -> set[str]:
    """Packages with a module that would have found other variables. Raises OrdinaryStartError when it is the standard library's."""
    told = {module for (module, variable), value in snapshot.asked.items() if env.get(variable) != value}
    foreign = told - snapshot.owner.keys()
    if foreign:
        raise OrdinaryStartError(f"variables of {', '.join(sorted(foreign))}")
    return {snapshot.owner[module] for module in told}


def state_of_files(snapshot: Snapshot) -> str:
    """By what is seen, without reading them, that the files at the parent's paths are those that were compared before: which they are, how
    long, and when they were changed last, which only the kernel writes. "" when that would not be seen, or a file is missing."""
    seen, newest = hashlib.blake2b(snapshot.digest, digest_size=20), 0
    try:
        for path, _ in snapshot.files.values():
            found = os.stat(path)
            seen.update(b"%d %d %d %d %d\n" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
            newest = max(newest, found.st_ctime_ns)
    except OSError:
        return ""
    return seen.hexdigest() if newest + _SETTLED_NANOSECONDS < time.time_ns() else ""


def different_packages(snapshot: Snapshot, env: dict[str, str], *, unread: bool = False) -> frozenset[str]:
    """Packages that are not in the tenant's environment as they are here, or would have turned out differently with these variables, and
    those that need them. *unread*: it is known that no file is another. Raises OrdinaryStartError."""
    if environment_settings() != snapshot.settings:
        raise OrdinaryStartError("another Python")
    entries = _listing(SITE)
    for entry in entries:
        if entry.endswith(".pth") or entry.partition(".")[0] in snapshot.unwelcome:
            raise OrdinaryStartError(entry)
    infos = {entry.removesuffix(".dist-info").lower() for entry in entries if entry.endswith(".dist-info")}
    bad = {name for name, version in snapshot.versions.items() if f"{name}-{version}".lower() not in infos}
    bad |= differently_told(snapshot, env)
    for module, (path, expected) in () if unread else snapshot.files.items():
        package = snapshot.owner[module]
        if package not in bad and not _same(path, expected):
            bad.add(package)
    grown = True
    while grown:
        more = {name for name in snapshot.versions if name not in bad and snapshot.requires.get(name, frozenset()) & bad}
        bad |= more
        grown = bool(more)
    return frozenset(bad)


def rehearse(snapshot: Snapshot) -> None:
    """Compare the parent with itself, in a copy that has to wait: the same values are looked at again as soon as it may go on."""
    with contextlib.suppress(OrdinaryStartError, OSError):
        state_of_files(snapshot)
        different_packages(snapshot, dict(os.environ), unread=True)


def _same(path: str, expected: int) -> bool:
    try:
        return checksum(path) == expected
    except OSError:
        return False


def forget(snapshot: Snapshot, packages: frozenset[str]) -> None:
    """Let those be imported anew. Raises OrdinaryStartError when one of them has compiled parts, which cannot be unloaded."""
    leaving = [name for name, package in snapshot.owner.items() if package in packages]
    if any(snapshot.files[name][0].endswith(_EXTENSIONS) for name in leaving):
        raise OrdinaryStartError("compiled parts")
    for name in leaving:
        sys.modules.pop(name, None)
