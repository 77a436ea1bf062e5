"""Names of container images, strictly: what is not understood is refused, not guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sitewright.errors import InvalidValueError

HUB = "docker.io"
LONGEST = 255
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry/repository`, and a tag or a digest (`sha256:…`)."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """The digest where it is known, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse_reference(text: str) -> ImageReference:
    """`python:3.12`, `ghcr.io/alice/app@sha256:…`. Without a registry it is Docker Hub's, without a tag `latest`. Raises
    InvalidValueError."""
    if not text or len(text) > LONGEST or "://" in text:
        raise _wrong(text)
    rest, at, digest = text.partition("@")
    head, slash, tail = rest.rpartition("/")
    last, colon, tag = tail.partition(":")
    path = f"{head}{slash}{last}"
    if (at and not _DIGEST.fullmatch(digest)) or (colon and not _TAG.fullmatch(tag)):
        raise _wrong(text)
    first, _, others = path.partition("/")
    if others and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, others
    else:
        registry, repository = HUB, path if others else f"library/{path}"
    if not _HOST.fullmatch(registry) or not all(_PART.fullmatch(part) for part in repository.split("/")):
        raise _wrong(text)
    return ImageReference(registry, repository, "" if digest else tag or "latest", digest)


def registries_of(setting: str) -> tuple[str, ...]:
    """The registries that the comma-separated setting names."""
    return tuple(filter(None, (part.strip().lower() for part in setting.split(","))))


def check_registry(reference: ImageReference, allowed: tuple[str, ...]) -> None:
    """Raises InvalidValueError for an image of a registry that this platform takes none from."""
    if reference.registry not in allowed:
        raise InvalidValueError(
            f"This platform takes no images from {reference.registry}.",
            details=f"It takes them from: {', '.join(allowed) or 'nowhere'}.",
            resolution="Use one of these, or ask whoever runs the platform (setting image_registries).",
        )


def _wrong(text: str) -> InvalidValueError:
    return InvalidValueError(
        f"“{text[:80]}” is no name of a container image.",
        details="Such a name has no credentials and no https://.",
        resolution="Write it like python:3.12-slim or ghcr.io/name/app:1.2.",
    )
