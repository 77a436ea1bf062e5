"""What a build put together: what its own package managers noted, as components; and the runtimes of the distribution beside it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from sitewright.builder.scan import open_plain
from sitewright.bus.messages import Artefacts, Component
from sitewright.errors import BuildError
from sitewright.system.processes import CommandFailedError, Runner

MOST_BYTES = 8 * 1024 * 1024
PUBLIC_INDEX = "https://pypi.org/simple"
DPKG_STATUS = Path("/var/lib/dpkg/status")
RUNTIME_PACKAGES = {"python": ("python3",), "node": ("nodejs", "npm"), "php": ("php-cli", "php-fpm")}
_VERSIONED = re.compile(r"(?P<package>(?:python3|php)\d*\.\d+(?:-fpm|-cli|-minimal)?) \(")


def without_credentials(address: str) -> str:
    """An address as it may be shown: no user, no password, no query."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if parts.scheme else address.partition("?")[0]


def package_url(kind: str, name: str, version: str) -> str:
    """The purl of a package (github.com/package-url/purl-spec)."""
    plain = re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name.lower() if kind == "composer" else name
    path = "/".join(quote(part, safe="") for part in plain.split("/"))
    return f"pkg:{kind}/{path}@{quote(version, safe='')}" if version else f"pkg:{kind}/{path}"


def digest_in_words(text: str) -> str:
    """`sha512:<hex>` from npm's `sha512-<base64>`; others as they are."""
    name, dash, encoded = text.partition(" ")[0].partition("-")
    if dash and name in ("sha1", "sha256", "sha384", "sha512"):
        try:
            return f"{name}:{base64.b64decode(encoded, validate=True).hex()}"
        except (ValueError, binascii.Error):
            return ""
    return text


def read_listed(path: Path, env: Mapping[str, str]) -> tuple[tuple[Component, ...], bool]:
    """Components from the list that ``inside/installed.py`` made, and whether it is complete. *env* is the build's: it names the index.

    What is there was written in the tenant's sandbox: whatever is wrong with it, it only makes the list incomplete.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            document = json.loads(file.read(MOST_BYTES))
        rows = [_component(row, env) for row in document["components"]]
        return tuple(row for row in rows if row is not None), bool(document["complete"])
    except FileNotFoundError:
        return (), True
    except (OSError, ValueError, TypeError, KeyError, BuildError):
        return (), False


def _component(row: Any, env: Mapping[str, str]) -> Component | None:
    kind, name, version, origin, digest = (_printable(str(value)) for value in row)
    if not name or kind not in ("pypi", "npm", "composer"):
        return None
    if kind == "pypi" and not origin:
        origin = env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL") or env.get("PIP_INDEX_URL") or PUBLIC_INDEX
    return Component(
        name=name,
        version=version,
        purl=package_url(kind, name, version),
        origin=without_credentials(origin),
        digest=digest_in_words(digest),
    )


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:300]


class Distribution:
    """Versions of the runtimes that this machine's distribution has; asked again when something was installed."""

    def __init__(self, runner: Runner, status: Path = DPKG_STATUS) -> None:
        self._runner = runner
        self._status = status
        self._known: dict[tuple[str, int], tuple[Component, ...]] = {}

    async def components(self, needs: tuple[str, ...]) -> tuple[Component, ...]:
        """Of these runtimes ("python", "node", "php"); () where there is no dpkg."""
        found: list[Component] = []
        for name in needs:
            found += await self._of(name)
        return tuple(found)

    async def _of(self, name: str) -> tuple[Component, ...]:
        try:
            stamp = self._status.stat().st_mtime_ns
        except OSError:
            return ()
        if (name, stamp) not in self._known:
            self._known[name, stamp] = await self._ask(RUNTIME_PACKAGES.get(name, ()))
        return self._known[name, stamp]

    async def _ask(self, packages: tuple[str, ...]) -> tuple[Component, ...]:
        """The packages, and those with the version in their name that they stand for."""
        lines = await self._query(packages)
        meant = {match["package"] for line in lines for match in _VERSIONED.finditer(line)}
        lines += await self._query(tuple(sorted(meant)))
        found = {}
        for line in lines:
            name, version, machine, *_ = line.split("\t")
            if version:
                purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={machine}"
                found[name] = Component(name=name, version=version, purl=purl, origin="Debian")
        return tuple(found.values())

    async def _query(self, packages: tuple[str, ...]) -> list[str]:
        if not packages:
            return []
        argv = ("/usr/bin/dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${Architecture}\\t${Depends}\\n", *packages)
        try:
            done = await self._runner.run(argv, timeout=20)
        except CommandFailedError:
            return []
        return [line for line in done.output.decode(errors="replace").splitlines() if line.count("\t") == 3]


def artefacts_of(build_id: str, listed: tuple[tuple[Component, ...], bool], runtimes: tuple[Component, ...]) -> Artefacts:
    """All together."""
    return Artefacts(build_id=build_id, components=(*runtimes, *listed[0]), complete=listed[1])
