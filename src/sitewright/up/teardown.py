"""Ends every instance of this platform and takes its bind mount away. The supervisor runs it after the node has stopped."""

from __future__ import annotations

import asyncio
import sys

from sitewright.config.settings import Settings, load_settings
from sitewright.engines.base import Engine
from sitewright.errors import SitewrightError
from sitewright.system import priority
from sitewright.system.accounts import is_root
from sitewright.system.log import configure_logging
from sitewright.up.reach import unbind

GRACE_SECONDS = 5.0


async def end_all(engine: Engine) -> int:
    """Stop and remove everything that the engine holds, all at a time; how many there were."""
    held = await engine.observe()

    async def end(instance_id: str) -> None:
        await engine.stop(instance_id, GRACE_SECONDS)
        await engine.remove(instance_id)

    await asyncio.gather(*(end(found.spec.id) for found in held), return_exceptions=True)
    return len(held)


async def teardown(settings: Settings) -> None:
    """End all instances. Raises SitewrightError when the engine cannot be reached."""
    from sitewright.up.node import make_engine  # noqa: PLC0415 - the one place that chooses an engine

    engine = make_engine(settings)
    await engine.open(lambda *_: None)
    try:
        await end_all(engine)
    finally:
        await engine.close()


def main() -> None:
    """Run for the platform of the environment."""
    settings = load_settings()
    configure_logging(settings.log_level)
    try:
        asyncio.run(teardown(settings))
    except SitewrightError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        if is_root():
            unbind(settings.paths)
            priority.remove(settings.paths.tag)


if __name__ == "__main__":
    main()
