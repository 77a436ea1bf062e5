"""A node that only builds, on the docker engine, and goes on until it is killed. Its settings are its argument, its one build its input."""

import asyncio
import sys

from sitewright.builder.service import Builder
from sitewright.bus.messages import BuildRequest, BuildStatus
from sitewright.config.settings import Settings
from sitewright.engines.docker import DockerEngine
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner


async def tell(status: BuildStatus) -> None:
    """Nobody listens."""


async def main() -> None:
    """Begin the build, and stay."""
    settings = Settings.model_validate_json(sys.argv[1])
    engine = DockerEngine(settings, SystemClock())
    builder = Builder(settings, engine, SystemClock(), SystemRunner(), tell)
    await engine.open(lambda job, data: builder.feed(job, data) and None)
    await builder.open()
    await builder.start(BuildRequest.model_validate_json(sys.stdin.read()))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
