"""What an engine offers beside ``Engine`` when it can build, fetch and run container images.

``images_of`` is how one learns whether it can. What a tenant's Dockerfile did wrong comes back as a value (``ImageResult``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from sitewright.domain.images import ImageReference
from sitewright.domain.limits import Limits
from sitewright.engines.base import Engine

OUR_LABELS = "sitewright."
"""What the names of labels begin with that only the platform itself gives."""
Said = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image says of itself. ``id`` is `sha256:…` on this machine; ``digests`` are its names in registries."""

    id: str
    size_bytes: int
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    """Exposed TCP ports, ascending."""
    user: str = ""
    env: tuple[str, ...] = ()
    """NAME=value."""
    labels: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    has_healthcheck: bool = False
    has_triggers: bool = False
    """ONBUILD."""
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """One image to build as the tenant *uid*. ``context`` is a tar with the file ``dockerfile`` in it, whose FROMs are ids of images
    that are here. ``name`` keeps the result from being cleared away. ``most_bytes`` bounds what one command may write."""

    name: str
    uid: int
    context: Path
    dockerfile: str
    args: tuple[tuple[str, str], ...]
    limits: Limits
    timeout_seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class ImageResult:
    """How it ended: with an image, or with what was wrong in the words of whoever built it."""

    image: ImageFacts | None = None
    problem: str = ""
    timed_out: bool = False
    cancelled: bool = False
    outgrown: bool = False


class ImageEngine(Protocol):
    """Builds, fetches and keeps images. All raise EngineError when the engine itself fails."""

    async def build_image(self, order: ImageOrder, said: Said, cancelled: Awaitable[object]) -> ImageResult:
        """Build; what is said goes to *said*. *cancelled* completing ends it with everything that it had started."""
        ...

    async def pull_image(self, reference: ImageReference, most_bytes: int, cancelled: Awaitable[object]) -> ImageResult:
        """Fetch it from its registry, at most *most_bytes* (packed)."""
        ...

    async def image(self, image_id: str) -> ImageFacts | None:
        """What an image here says of itself; None when it is not here."""
        ...

    async def files_of(self, image_id: str, paths: tuple[str, ...], most_bytes: int) -> dict[str, bytes]:
        """The regular files of an image among *paths*, as far as each has at most *most_bytes*."""
        ...

    async def keep_image(self, image_id: str, name: str) -> None:
        """Keep an image under a name until ``remove_images`` is not told of it any more."""
        ...

    async def remove_images(self, keep: frozenset[str]) -> int:
        """Remove the names that are not in *keep*, and images that have no other; their number. What runs keeps its image."""
        ...


@runtime_checkable
class HasImages(Protocol):
    """An engine that can."""

    @property
    def images(self) -> ImageEngine:
        """Its images."""
        ...


def images_of(engine: Engine) -> ImageEngine | None:
    """The engine's images; None when it has none."""
    return engine.images if isinstance(engine, HasImages) else None
