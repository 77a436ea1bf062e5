"""A builder on a real engine, with a data folder of its own."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sitewright.builder.service import Builder
from sitewright.bus.messages import BuildRequest, BuildStatus, FolderSource, GitSource, TemplateSource, UploadSource
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.engines.sandbox.engine import SandboxEngine
from sitewright.system.clock import SystemClock
from sitewright.system.ownership import make_folder
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
    """What a test does with a builder."""

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
        source: UploadSource | GitSource | TemplateSource | FolderSource,
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

    async def build(self, request: BuildRequest, seconds: float = 240) -> BuildStatus:
        await self.builder.start(request)
        return await self.ended(request.build_id, seconds)

    async def ended(self, build_id: str, seconds: float = 240) -> BuildStatus:
        async def finished() -> BuildStatus | None:
            status = await self.builder.status(build_id)
            return status if status.finished_at else None

        return await eventually(finished, seconds)

    def log(self, status: BuildStatus) -> str:
        lines = self.builder.log_path(status.build_id).read_text().splitlines()
        return "\n".join(line.partition(" ")[2] for line in lines)

    def release(self, number: int = 1, site: str = ALICE_SITE) -> Path:
        return self.settings.paths.release(site, "production", number)


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's own temporary folder: a site's user must be able to pass through."""
    folder = Path(tempfile.mkdtemp(prefix="swb-"))
    make_folder(folder, 0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def workbench(home: Path) -> AsyncIterator[Workbench]:
    settings = Settings(home=home, git_file_urls=True)
    engine = SandboxEngine(settings, SystemRunner(), SystemClock())
    reports: list[BuildStatus] = []

    async def notify(status: BuildStatus) -> None:
        reports.append(status)

    builder = Builder(settings, engine, SystemClock(), SystemRunner(), notify)
    await engine.open(lambda job, data: builder.feed(job, data) and None)
    await builder.open()
    yield Workbench(settings, engine, builder, reports)
    await builder.close()
    await engine.close()
    shutil.rmtree(settings.paths.run, ignore_errors=True)
