"""A build's list of components as CycloneDX 1.5 JSON (cyclonedx.org/docs/1.5/json). Pure."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sitewright.bus.messages import Artefacts, Component

HASHES = {"sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512", "md5": "MD5"}


def cyclonedx(artefacts: Artefacts, site: str, version: str, at: float) -> dict[str, Any]:
    """The document for a release of *site*; *at* is when it was built, in seconds since the epoch. The same build gives the same one."""
    reference = f"pkg:generic/{site}@{version}"
    components = _unique(artefacts.components)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sitewright:build:{artefacts.build_id}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "sitewright"}]},
            "component": {"type": "application", "bom-ref": reference, "name": site, "version": version},
        },
        "components": [_component(each) for each in components],
        "dependencies": [{"ref": reference, "dependsOn": [_reference(each) for each in components]}],
        "compositions": [{"aggregate": "complete" if artefacts.complete else "incomplete", "assemblies": [reference]}],
    }


def _unique(components: tuple[Component, ...]) -> list[Component]:
    """npm installs one version in several places; it is one component."""
    return list({_reference(each): each for each in components}.values())


def _reference(component: Component) -> str:
    return component.purl or f"{component.name}@{component.version}"


def _component(component: Component) -> dict[str, Any]:
    name, _, digest = component.digest.partition(":")
    entry: dict[str, Any] = {
        "type": "platform" if component.purl.startswith("pkg:deb/") else "library",
        "bom-ref": _reference(component),
        "name": component.name,
        "version": component.version,
    }
    if component.purl:
        entry["purl"] = component.purl
    if name in HASHES and digest:
        entry["hashes"] = [{"alg": HASHES[name], "content": digest}]
    elif digest:
        entry["properties"] = [{"name": f"sitewright:{name}", "value": digest}]
    if "://" in component.origin:
        entry["externalReferences"] = [{"type": "distribution", "url": component.origin}]
    return entry
