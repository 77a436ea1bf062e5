"""What an image means for a site: how it runs, what is said of it, what is in it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from urllib.parse import quote

from sitewright.bus.messages import Component
from sitewright.domain.images import HUB, ImageReference
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.domain.release import Blueprint
from sitewright.engines.images import OUR_LABELS, ImageFacts
from sitewright.errors import BuildError

DEFAULT_PORT = 8080
MOST_PACKAGES = 5000
DPKG, APK, RELEASE = "/var/lib/dpkg/status", "/lib/apk/db/installed", "/etc/os-release"
PACKAGE_FILES = (DPKG, APK, RELEASE, "/usr/lib/os-release")


def check_image(facts: ImageFacts, what: str) -> None:
    """Raises BuildError for an image that cannot be used here."""
    if facts.has_triggers:
        raise BuildError(
            f"{what} has ONBUILD instructions.", details="They are not followed here.", resolution="Use an image without them."
        )
    if any(name.startswith(OUR_LABELS) for name, _ in facts.labels):
        raise BuildError(f"{what} has labels that only this platform gives.", resolution=f"Remove labels that begin with {OUR_LABELS}")


def blueprint_of(facts: ImageFacts, processes: tuple[ProcessSpec, ...], procfile: str = "", pack: str = "image") -> Blueprint:
    """How a site runs from an image. *processes* of a Procfile or configuration go before what the image says. Raises BuildError."""
    port = facts.ports[0] if facts.ports else DEFAULT_PORT
    given = {process.type: _in_image(process, procfile) for process in processes}
    words = (*facts.entrypoint, *facts.command)
    if "web" not in given:
        if not words:
            raise BuildError(
                "The image does not say what it runs.",
                resolution="Add CMD to the Dockerfile, or a web process to sitewright.toml or the Procfile, and deploy again.",
            )
        given = {"web": ProcessSpec(type="web", command=f"exec {shlex.join(words)}", listen=Listen.PORT), **given}
    return Blueprint(pack=pack, stack="image", processes=tuple(given.values()), image=facts.id, port=port)


def _in_image(process: ProcessSpec, procfile: str) -> ProcessSpec:
    """As its owner wrote it: in an image nothing is handed over, a port is listened on."""
    if process.type != "web":
        return ProcessSpec(type=process.type, command=process.own_words, health=process.health, schedule=process.schedule)
    written = re.findall(r"(?im)^[ \t]*web[ \t]*:[ \t]*(\S.*)$", procfile)
    command = written[-1].strip() if written else process.own_words
    return ProcessSpec(type="web", command=command, listen=Listen.PORT, health=process.health)


def notes_on(facts: ImageFacts, blueprint: Blueprint, uid: int) -> tuple[str, ...]:
    """What somebody who knows Docker should know of how it runs here."""
    named = f"port {blueprint.port}, which it exposes" if facts.ports else f"port {blueprint.port} ($PORT), as it exposes none"
    who = f"{facts.user} as it says" if facts.user and facts.user.partition(":")[0] not in {"0", "root"} else "root"
    notes = [
        f"It is asked on {named}.",
        f"It runs as this site's own user ({uid}) and not as {who}; its files are read-only. What it writes belongs into /data or /tmp.",
    ]
    if facts.has_healthcheck:
        notes.append("Its HEALTHCHECK is not followed: the site is asked over HTTP.")
    if facts.volumes:
        notes.append(f"Its volumes ({', '.join(facts.volumes[:5])}) are empty and in memory: what is to last belongs into /data.")
    return tuple(notes)


def base_component(reference: ImageReference, facts: ImageFacts) -> Component:
    """An image that was fetched, with the digest that its registry knows it by."""
    digest = next((name.rpartition("@")[2] for name in facts.digests if _is_of(name, reference)), facts.id)
    kind = f"pkg:docker/{quote(reference.repository.removeprefix('library/'))}@{quote(digest, safe='')}"
    purl = kind if reference.registry == HUB else f"{kind}?repository_url={quote(reference.registry, safe='')}"
    return Component(name=reference.name, version=reference.version, purl=purl, origin=reference.registry, digest=digest)


def _is_of(name: str, reference: ImageReference) -> bool:
    known = name.partition("@")[0]
    return known in {reference.name, reference.repository, reference.repository.removeprefix("library/")}


def packages_of(files: Mapping[str, bytes]) -> tuple[Component, ...]:
    """The packages of Debian and Alpine that an image's own lists name, 5000 at most. What is wrong with a list only shortens it."""
    release = files.get(RELEASE) or files.get("/usr/lib/os-release") or b""
    found = re.search(r'(?m)^ID="?([a-z0-9._-]{1,40})"?\s*$', release.decode("utf-8", "replace"))
    system = found[1] if found else ""
    components = [
        *_listed(files.get(DPKG, b""), "deb", system or "debian", ("Package: ", "Version: ", "Architecture: ")),
        *_listed(files.get(APK, b""), "apk", system or "alpine", ("P:", "V:", "A:")),
    ]
    return tuple(components[:MOST_PACKAGES])


def _listed(content: bytes, kind: str, system: str, marks: tuple[str, str, str]) -> list[Component]:
    found = []
    for block in content.decode("utf-8", "replace").split("\n\n"):
        fields = {mark: line[len(mark) :].strip()[:200] for line in block.splitlines() for mark in marks if line.startswith(mark)}
        name, version, machine = (fields.get(mark, "") for mark in marks)
        removed = kind == "deb" and "\nStatus: " in f"\n{block}" and "ok installed" not in block
        if name.isprintable() and name and version.isprintable() and version and not removed:
            purl = f"pkg:{kind}/{system}/{quote(name, safe='')}@{quote(version, safe='')}?arch={quote(machine, safe='')}"
            found.append(Component(name=name, version=version, purl=purl, origin=system))
    return found
