"""Images on one Docker Engine: built by its classic builder, fetched, kept under names of ours.

The classic builder and not BuildKit: Debian's docker.io has no BuildKit client, and what the classic one does is known beforehand: its
commands are containers with limits of memory and CPU, on the site's own network, ended when the connection of whoever asked breaks.
What it cannot do (a limit of processes, one of disk) is put on each of those containers as soon as the builder says that it made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sitewright.commands.docker_config import JOB_LABEL, PLATFORM_LABEL, container_name
from sitewright.domain.identity import new_id
from sitewright.domain.images import ImageReference
from sitewright.domain.limits import Limits, cpu_shares
from sitewright.engines.docker.daemon import CONFLICT, NOT_FOUND, Daemon, DaemonError
from sitewright.engines.docker.networks import Networks
from sitewright.engines.images import ImageFacts, ImageOrder, ImageResult, Said

LONGEST_LINE = 1024 * 1024
LOOK_SECONDS = 2.0
_RUNNING = re.compile(r"---> Running in ([0-9a-f]{12,64})")
_CPU_PERIOD = 100_000


@dataclass(slots=True)
class Watched:
    """A build under way: what was said of it so far."""

    container: str = ""
    image: str = ""
    problem: str = ""
    outgrown: bool = False


class DockerImages:
    """See ``ImageEngine``."""

    def __init__(self, daemon: Daemon, networks: Networks, tag: str) -> None:
        self._daemon = daemon
        self._networks = networks
        self._tag = tag
        self._kept = f"sitewright-{tag}/site"

    async def build_image(self, order: ImageOrder, said: Said, cancelled: Awaitable[object]) -> ImageResult:
        """Build on the site's own network. Raises EngineError."""
        watched = Watched()
        async with self._networks.kept(order.uid) as network:
            work = self._build(order, network, said, watched)
            result = await self._until(work, order.timeout_seconds, cancelled, lambda: self._watch(order, watched))
        if result != ImageResult() and watched.container:
            # The daemon ends it when the connection breaks; that it is gone must not depend on how soon it notices.
            with contextlib.suppress(DaemonError):
                await self._daemon.ask_leniently("DELETE", f"containers/{watched.container}", params={"force": "1", "v": "1"})
        await self._networks.release(order.uid)
        if result != ImageResult() or watched.problem:
            return replace(result, problem=watched.problem, outgrown=watched.outgrown)
        return ImageResult(image=await self.image(watched.image or f"{self._kept}:{order.name}"))

    async def _build(self, order: ImageOrder, network: str, said: Said, watched: Watched) -> None:
        params = build_params(order, network, f"{self._kept}:{order.name}")
        with order.context.open("rb") as context:
            async with self._daemon.upload("build", params, context) as lines:
                async for event in _events(lines):
                    _take(event, watched, said)
                    if found := _RUNNING.search(str(event.get("stream", ""))):
                        watched.container = found[1]
                        await self._bound(found[1], order.limits)

    async def _bound(self, container: str, limits: Limits) -> None:
        """What the builder cannot be asked for."""
        with contextlib.suppress(DaemonError):
            await self._daemon.ask("POST", f"containers/{container}/update", body={"PidsLimit": limits.pids})

    async def _watch(self, order: ImageOrder, watched: Watched) -> None:
        """Returns when a command has written too much."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not watched.container:
                continue
            with contextlib.suppress(DaemonError):
                seen = await self._daemon.find_with(f"containers/{watched.container}/json", {"size": "1"})
                if seen and int(seen.get("SizeRw") or 0) > order.most_bytes:
                    watched.outgrown = True
                    return

    async def _until(
        self,
        work: Coroutine[Any, Any, None],
        seconds: float,
        cancelled: Awaitable[object],
        watch: Callable[[], Coroutine[Any, Any, None]],
    ) -> ImageResult:
        """Do *work* until it has ended, its time is over, somebody cancels it, or *watch* returns; ImageResult() when it has ended."""
        working, stopping, watching = asyncio.ensure_future(work), asyncio.ensure_future(cancelled), asyncio.ensure_future(watch())
        every: set[asyncio.Future[Any]] = {working, stopping, watching}
        try:
            done, _ = await asyncio.wait(every, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if working in done:
                working.result()
                return ImageResult()
            return ImageResult(timed_out=not done, cancelled=stopping in done, outgrown=watching in done)
        finally:
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)

    async def pull_image(self, reference: ImageReference, most_bytes: int, cancelled: Awaitable[object]) -> ImageResult:
        """Fetch it. Raises EngineError."""
        watched, sizes = Watched(), dict[str, int]()

        async def fetch() -> None:
            params = {"fromImage": reference.name, "tag": reference.version}
            async with self._daemon.upload("images/create", params, None) as lines:
                async for event in _events(lines):
                    watched.problem = watched.problem or str(event.get("error", ""))
                    detail = event.get("progressDetail") or {}
                    sizes[str(event.get("id", ""))] = int(detail.get("total") or 0)
                    if sum(sizes.values()) > most_bytes:
                        watched.outgrown = True
                        return

        try:
            root = Path(str((await self._daemon.ask("GET", "info")).get("DockerRootDir") or "/"))
            result = await self._until(fetch(), PULL_SECONDS, cancelled, lambda: _until_disk_is_short(root, most_bytes * UNPACKED_FACTOR))
        except DaemonError as error:
            if not error.status:
                raise
            return ImageResult(problem=error.details)
        if result != ImageResult() or watched.problem or watched.outgrown:
            return replace(result, problem=watched.problem, outgrown=watched.outgrown)
        return ImageResult(image=await self.image(str(reference)))

    async def image(self, image_id: str) -> ImageFacts | None:
        """What the daemon says of it."""
        seen = await self._daemon.find(f"images/{image_id}/json")
        return None if seen is None else facts_from(seen)

    async def files_of(self, image_id: str, paths: tuple[str, ...], most_bytes: int) -> dict[str, bytes]:
        """Read from a container that is made, never started, and removed."""
        identity = new_id()
        labels = {PLATFORM_LABEL: self._tag, JOB_LABEL: identity}
        body = {"Image": image_id, "Entrypoint": ["/"], "Labels": labels, "NetworkDisabled": True, "HostConfig": {"NetworkMode": "none"}}
        made = await self._daemon.ask("POST", "containers/create", params={"name": container_name(self._tag, identity)}, body=body)
        path = f"containers/{made['Id']}"
        try:
            found = {name: await self._file(path, name, most_bytes) for name in paths}
            return {name: content for name, content in found.items() if content is not None}
        finally:
            await asyncio.shield(self._daemon.ask_leniently("DELETE", path, params={"force": "1", "v": "1"}))

    async def _file(self, container: str, name: str, most_bytes: int) -> bytes | None:
        packed = bytearray()
        try:
            async with self._daemon.stream(f"{container}/archive", {"path": name}) as content:
                while chunk := await content.read(64 * 1024):
                    packed += chunk
                    if len(packed) > most_bytes + 64 * 1024:
                        return None
        except DaemonError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return await asyncio.to_thread(only_file, bytes(packed))

    async def keep_image(self, image_id: str, name: str) -> None:
        """Give it a name of ours."""
        await self._daemon.ask("POST", f"images/{image_id}/tag", params={"repo": self._kept, "tag": name})

    async def remove_images(self, keep: frozenset[str]) -> int:
        """Names of ours that are not in *keep* go."""
        gone = 0
        listed = await self._daemon.ask("GET", "images/json", params={"filters": json.dumps({"reference": [f"{self._kept}:*"]})})
        for name in [name for image in listed for name in image.get("RepoTags") or ()]:
            repository, _, version = str(name).rpartition(":")
            if repository == self._kept and version not in keep:
                try:
                    await self._daemon.ask("DELETE", f"images/{name}")
                    gone += 1
                except DaemonError as error:
                    if error.status not in {NOT_FOUND, CONFLICT}:
                        raise
        return gone


PULL_SECONDS = 600.0


UNPACKED_FACTOR = 3
"""What was fetched may take that much more once it is unpacked."""
LEAST_FREE_BYTES = 1024**3


async def _until_disk_is_short(folder: Path, most_bytes: int) -> None:
    """Returns when the daemon's disk has lost *most_bytes*, or is nearly full: a small layer can be zeros without end when unpacked."""
    first = _free(folder)
    while first - (now := _free(folder)) < most_bytes and (now > LEAST_FREE_BYTES or now >= first):  # noqa: ASYNC110 - a disk does not tell
        await asyncio.sleep(LOOK_SECONDS)


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return LEAST_FREE_BYTES


def build_params(order: ImageOrder, network: str, name: str) -> dict[str, str]:
    """The parameters of POST /build. Pure. Intermediate containers go, nothing is fetched by the builder itself, no host's network."""
    limits = order.limits
    return {
        "version": "1",
        "t": name,
        "dockerfile": order.dockerfile,
        "rm": "1",
        "forcerm": "1",
        "networkmode": network,
        "memory": str(limits.memory_bytes),
        "memswap": str(limits.memory_bytes),
        "cpushares": str(cpu_shares(limits.cpu_weight)),
        "cpuperiod": str(_CPU_PERIOD),
        "cpuquota": str(limits.cpu_millicores * _CPU_PERIOD // 1000),
        "buildargs": json.dumps(dict(order.args)),
        "ulimits": json.dumps(
            [
                {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ]
        ),
    }


def _take(event: Mapping[str, Any], watched: Watched, said: Said) -> None:
    if event.get("error"):
        watched.problem = str(event["error"])
    elif event.get("stream"):
        said(str(event["stream"]).encode())
    elif isinstance(event.get("aux"), dict) and "ID" in event["aux"]:
        watched.image = str(event["aux"]["ID"])


async def _events(lines: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The daemon's objects, one a line. What is longer than a mebibyte, or no object, is left out."""
    rest = b""
    async for chunk in lines:
        *whole, rest = (rest + chunk).split(b"\n")
        rest = rest[-LONGEST_LINE:]
        for line in whole:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event


def only_file(packed: bytes) -> bytes | None:
    """The content of the one regular file in a tar; None when it holds something else."""
    with contextlib.suppress(tarfile.TarError, EOFError), tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.next()
        if member is not None and member.isreg():
            opened = archive.extractfile(member)
            return opened.read() if opened is not None else None
    return None


def facts_from(seen: Mapping[str, Any]) -> ImageFacts:
    """From the answer of GET /images/…/json."""
    config = seen.get("Config") or {}
    exposed = (str(name).partition("/") for name in config.get("ExposedPorts") or {})
    check = (config.get("Healthcheck") or {}).get("Test") or []
    return ImageFacts(
        id=str(seen["Id"]),
        size_bytes=int(seen.get("Size") or 0),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        ports=tuple(sorted(int(number) for number, _, kind in exposed if number.isdigit() and kind in {"", "tcp"})),
        user=str(config.get("User") or ""),
        env=tuple(config.get("Env") or ()),
        labels=tuple(sorted((config.get("Labels") or {}).items())),
        volumes=tuple(sorted(config.get("Volumes") or {})),
        has_healthcheck=bool(check) and check[0] != "NONE",
        has_triggers=bool(config.get("OnBuild")),
        digests=tuple(seen.get("RepoDigests") or ()),
    )
