"""A builder on the real sandbox engine, and what tests do with it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sitewright.builder.service import Builder
from sitewright.bus.messages import (
    BuildRequest,
    BuildStatus,
    CommitSource,
    FolderSource,
    GitSource,
    ImageSource,
    TemplateSource,
    UploadSource,
)
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.engines.base import InstanceSpec, JobSpec, Mount, Sandboxed
from sitewright.engines.sandbox.engine import SandboxEngine
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.waiting import eventually

ALICE_SITE = "asite2222222"
BOB_SITE = "bsite2222222"


def archive_of(files: Mapping[str, str | bytes]) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Workbench:
    """A builder with its engine and settings; ``reports`` is all that it told."""

    settings: Settings
    engine: SandboxEngine
    builder: Builder
    reports: list[BuildStatus] = field(default_factory=list)

    def upload(self, data: bytes) -> UploadSource:
        digest = hashlib.sha256(data).hexdigest()
        self.settings.paths.uploads.mkdir(exist_ok=True)
        (self.settings.paths.uploads / digest).write_bytes(data)
        return UploadSource(digest=digest, name="site.tar.gz")

    def request(
        self,
        source: UploadSource | GitSource | TemplateSource | FolderSource | CommitSource | ImageSource,
        *,
        site: str = ALICE_SITE,
        number: int = 1,
        mode: str = "released",
        release: int = 1,
        **more: object,
    ) -> BuildRequest:
        return BuildRequest.model_validate(
            {
                "build_id": new_id(),
                "site_id": site,
                "number": number,
                "channel_id": "chan22222222",
                "channel": "production",
                "mode": mode,
                "source": source,
                "release_number": release,
                **more,
            }
        )

    def again(self) -> Builder:
        """Another builder in the place of the one that was closed, as after a restart of the node."""

        async def notify(status: BuildStatus) -> None:
            self.reports.append(status)

        self.builder = Builder(self.settings, self.engine, SystemClock(), SystemRunner(), notify)
        return self.builder

    async def build(self, request: BuildRequest, seconds: float = 240) -> BuildStatus:
        await self.builder.start(request)
        return await self.ended(request.build_id, seconds)

    async def ended(self, build_id: str, seconds: float = 240) -> BuildStatus:
        async def finished() -> BuildStatus | None:
            status = await self.builder.status(build_id)
            return status if status.finished_at else None

        return await eventually(finished, seconds)

    def log(self, status: BuildStatus) -> str:
        path = self.builder.log_path(status.build_id)
        lines = path.read_text().splitlines() if path.exists() else []
        return "\n".join(line.partition(" ")[2] for line in lines)

    def release(self, number: int = 1, site: str = ALICE_SITE) -> Path:
        return self.settings.paths.release(site, "production", number)


def box_of(workbench: Workbench, status: BuildStatus, command: str) -> Sandboxed:
    paths = workbench.settings.paths
    assert status.blueprint is not None
    return Sandboxed(
        uid=workbench.settings.uid_base + 1,
        command=command,
        env=(*status.blueprint.env, ("SITEWRIGHT_DATA", "/data")),
        mounts=(Mount(workbench.release(), "/app"), Mount(paths.data("asite2222222", "production"), "/data", writable=True)),
        limits=Limits(),
    )


@asynccontextmanager
async def running(workbench: Workbench, status: BuildStatus) -> AsyncIterator[httpx.AsyncClient]:
    """The site's web process, asked through its socket."""
    assert status.blueprint is not None
    web = status.blueprint.process("web")
    assert web is not None
    instance = new_id()
    socket = workbench.settings.paths.instance_socket(instance)
    release = status.blueprint.process("release")
    if release is not None:
        result = await workbench.engine.run(JobSpec(new_id(), box_of(workbench, status, release.command), 60))
        assert result.exit.code == 0
    await workbench.engine.start(
        InstanceSpec(
            id=instance,
            channel_id="chan22222222",
            site_id="asite2222222",
            process="web",
            digest="x",
            release_id="r",
            box=box_of(workbench, status, web.command),
            listen=web.listen,
            socket=socket,
        )
    )
    try:

        async def listening() -> bool:
            return await workbench.engine.listening(instance)

        await eventually(listening, 30)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://site.localhost", timeout=20) as client:
            yield client
    finally:
        await workbench.engine.stop(instance, 5)
        await workbench.engine.remove(instance)
