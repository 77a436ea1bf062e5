"""Making the image of a site: from the Dockerfile of its source, or from a registry."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sitewright.builder.bench import Bench, BuildCancelledError
from sitewright.builder.following import Following
from sitewright.builder.images.dockerfile import Dockerfile, parse_dockerfile, rendered
from sitewright.builder.images.facts import PACKAGE_FILES, base_component, blueprint_of, check_image, notes_on, packages_of
from sitewright.builder.packs.base import PackPlan, Step
from sitewright.builder.scan import digest_of, leaked, member_at
from sitewright.builder.source import counted, megabytes, script
from sitewright.bus.messages import BuildRequest, Component
from sitewright.config.settings import Settings
from sitewright.domain.images import ImageReference, check_registry, parse_reference, registries_of
from sitewright.domain.limits import MAX_SOURCE_BYTES, Limits
from sitewright.domain.release import Blueprint
from sitewright.engines.base import Engine, Mount
from sitewright.engines.images import ImageEngine, ImageFacts, ImageOrder, ImageResult, images_of
from sitewright.errors import BuildError, UnavailableError
from sitewright.system.ownership import SITE, make_folder

DOCKERFILE = ".sitewright.dockerfile"
MOST_PULLED_BYTES = 4 * 1024**3
"""Of one image, as its registry packs it."""
MOST_WRITTEN_BYTES = 8 * 1024**3
"""By one command of a Dockerfile."""
MOST_LIST_BYTES = 16 * 1024**2
IMAGE_FILE = "image.json"
IMAGE_TARGET = "/image"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is made: the build's working folder, whose it is, what it may use, and for how many seconds."""

    work: Path
    uid: int
    owner: tuple[int, int]
    limits: Limits
    seconds: float
    searched: Mapping[bytes, str]


@dataclass(frozen=True, slots=True)
class ImageMade:
    """An image and what is known of it."""

    blueprint: Blueprint
    components: tuple[Component, ...]


def engine_for_images(engine: Engine) -> ImageEngine:
    """The engine's images. Raises BuildError that says what to do where it has none."""
    images = images_of(engine)
    if images is None:
        raise BuildError(
            "This platform runs sites in its own sandbox, which cannot run container images.",
            details="A Dockerfile or an image needs a platform that was started with SITEWRIGHT_ENGINE=docker.",
            resolution="Let the platform build it (requirements.txt, package.json, a Procfile), or ask whoever runs the platform.",
        )
    return images


class ImageBuild:
    """One build's image."""

    def __init__(self, settings: Settings, images: ImageEngine, request: BuildRequest, bench: Bench, place: Place) -> None:
        self._images = images
        self._registries = registries_of(settings.image_registries)
        self._request = request
        self._bench = bench
        self._place = place
        self._say = bench.log.say

    async def fetched(self, text: str) -> ImageMade:
        """The image that a reference names. Raises SitewrightError."""
        reference = parse_reference(text)
        facts = await self._pull(reference)
        blueprint = blueprint_of(facts, ())
        self._tell(facts, blueprint)
        return ImageMade(blueprint, (base_component(reference, facts), *await self._packages(facts)))

    async def built(self, tree: Path, pack: PackPlan, following: Following) -> ImageMade:
        """The image of a source with a Dockerfile. Raises SitewrightError."""
        text, procfile = await asyncio.to_thread(following.image_files, pack.dockerfile)
        open_values = {name: value for name, value in self._request.env if name not in self._request.secrets}
        dockerfile = parse_dockerfile(text, open_values)
        for note in dockerfile.notes:
            self._say(note)
        bases = {base: await self._pull(base) for base in dockerfile.bases}
        cache = f"{self._request.site_id}/{self._request.channel if self._request.foreign else ''}"
        final = rendered(dockerfile, {base: facts.id for base, facts in bases.items()}, cache)
        context = await self._context(tree, final)
        facts = await self._run(context, self._args(dockerfile, open_values))
        check_image(facts, "The image")
        self._check_size(facts, bases, dockerfile)
        blueprint = blueprint_of(facts, pack.processes, procfile, pack.pack)
        self._tell(facts, blueprint)
        found = (base_component(base, known) for base, known in bases.items())
        return ImageMade(blueprint, (*found, *await self._packages(facts)))

    async def sealed_tree(self, made: ImageMade) -> Path:
        """A folder with one file that names the image: what is kept of a release, is kept of it too."""
        tree = self._place.work / "image-tree"
        make_folder(tree, SITE, self._place.owner)
        path = tree / IMAGE_FILE
        path.write_text(json.dumps({"image": made.blueprint.image}) + "\n", encoding="utf-8")
        path.chmod(0o644)
        if os.geteuid() == 0:
            os.chown(path, *self._place.owner)
        return tree

    async def keep(self, made: ImageMade, droplet: str) -> None:
        """Keep the image as long as the droplet that names it."""
        await self._images.keep_image(made.blueprint.image, droplet)

    def _args(self, dockerfile: Dockerfile, open_values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        hidden = sorted(dockerfile.declared & set(self._request.secrets))
        if hidden:
            self._say(f"Not passed to the build, because an image keeps its ARGs for everybody to read: {', '.join(hidden)} (secret).")
        return tuple((name, value) for name, value in sorted(open_values.items()) if name in dockerfile.declared)

    async def _pull(self, reference: ImageReference) -> ImageFacts:
        check_registry(reference, self._registries)
        self._say(f"Fetching the image {reference} …")
        result = await self._ended(self._images.pull_image(reference, MOST_PULLED_BYTES, self._bench.cancelled.wait()))
        facts = result.image
        if facts is None:
            facts = await self._images.image(str(reference))
            if facts is None or not facts.digests or result.outgrown:
                raise _not_fetched(reference, result)
            self._say(f"Its registry does not give it now ({result.problem[:200] or 'no answer'}): taking it as it was fetched before.")
        check_image(facts, f"The image {reference}")
        digest = next(iter(facts.digests), facts.id).rpartition("@")[2]
        self._say(f"That is {digest}, {megabytes(facts.size_bytes)}.")
        return facts

    async def _context(self, tree: Path, final: str) -> Path:
        folder = self._place.work / "context"
        make_folder(folder, 0o700, (self._place.uid, self._place.uid))
        (folder / "Dockerfile").write_text(final, encoding="utf-8")
        (folder / "Dockerfile").chmod(0o644)
        target = f"{IMAGE_TARGET}/context.tar"
        step = Step("Packing the source", script("context", target, f"{IMAGE_TARGET}/Dockerfile", DOCKERFILE, str(MAX_SOURCE_BYTES)))
        answer = json.loads((await self._bench.ask(step, tree, mounts=(Mount(folder, IMAGE_TARGET, writable=True),))).splitlines()[-1])
        if answer["bytes"] < 0:
            raise BuildError(
                f"The source has more than {MAX_SOURCE_BYTES // 1_000_000} MB.",
                resolution="Name what the image does not need in .dockerignore, and deploy again.",
            )
        self._say(f"Building the image from {counted(answer['files'])}, {megabytes(answer['bytes'])}.")
        archive = folder / "context.tar"
        if archive.is_symlink():
            raise BuildError("The source could not be packed.")
        _, found = await asyncio.to_thread(digest_of, archive, self._place.searched)
        if found is not None:
            raise leaked(found.variable, await asyncio.to_thread(member_at, archive, found.offset))
        return archive

    async def _run(self, context: Path, args: tuple[tuple[str, str], ...]) -> ImageFacts:
        most = min(self._request.quota_bytes * 3 or MOST_WRITTEN_BYTES, MOST_WRITTEN_BYTES)
        order = ImageOrder(
            name=self._request.build_id,
            uid=self._place.uid,
            context=context,
            dockerfile=DOCKERFILE,
            args=args,
            limits=self._place.limits,
            timeout_seconds=max(1.0, self._place.seconds),
            most_bytes=most,
        )
        result = await self._ended(self._images.build_image(order, self._bench.log.feed, self._bench.cancelled.wait()))
        self._bench.log.flush()
        if result.image is not None:
            return result.image
        if result.outgrown:
            raise self._bench.over_quota()
        if result.timed_out:
            raise BuildError(
                "The build of the image took too long and was ended.", resolution="Make it smaller, or deploy a finished image."
            )
        raise BuildError(
            "The image could not be built.",
            details=result.problem[:2000],
            resolution="Read the last lines of the log, correct the Dockerfile, deploy again.",
        )

    async def _ended(self, work: Awaitable[ImageResult]) -> ImageResult:
        result = await work
        if result.cancelled:
            raise BuildCancelledError
        self._bench.check_cancelled()
        return result

    def _check_size(self, facts: ImageFacts, bases: Mapping[ImageReference, ImageFacts], dockerfile: Dockerfile) -> None:
        base = dockerfile.stages[-1].base
        own = facts.size_bytes - (bases[base].size_bytes if base is not None else 0)
        if self._request.quota_bytes and own > self._request.quota_bytes:
            raise self._bench.over_quota()

    def _tell(self, facts: ImageFacts, blueprint: Blueprint) -> None:
        for note in notes_on(facts, blueprint, self._place.uid):
            self._say(note)

    async def _packages(self, facts: ImageFacts) -> tuple[Component, ...]:
        files = await self._images.files_of(facts.id, PACKAGE_FILES, MOST_LIST_BYTES)
        return await asyncio.to_thread(packages_of, files)


def _not_fetched(reference: ImageReference, result: ImageResult) -> BuildError | UnavailableError:
    if result.outgrown:
        return BuildError(f"The image {reference} is larger than {MOST_PULLED_BYTES // 1_000_000} MB.", resolution="Use a smaller one.")
    if result.timed_out:
        return UnavailableError(f"The registry {reference.registry} took too long.", resolution="Try again later.")
    return BuildError(
        f"The image {reference} could not be fetched.",
        details=result.problem[:500],
        resolution="Check its name and tag; images that need a password cannot be used.",
    )
