"""An ordinary user's network: slirp4netns beside the sandbox, connected before the tenant's command begins."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from sitewright.commands import nsenter, slirp
from sitewright.engines.base import Sandboxed
from sitewright.engines.sandbox.launch import Ground
from sitewright.engines.sandbox.spawn import children, has_users, owning_user_namespace, spawn
from sitewright.errors import EngineError

BLOCK_DESCRIPTOR = 14
_READY_SECONDS = 10.0


def wanted(ground: Ground, box: Sandboxed) -> bool:
    """Whether this sandbox gets its network in this way."""
    return bool(not ground.root and ground.slirp and box.network)


@dataclass(slots=True)
class Barrier:
    """What holds the tenant's command back until the network is there."""

    reading: int
    writing: int

    @classmethod
    def make(cls) -> Barrier:
        """A new one."""
        return cls(*os.pipe())

    def descriptors(self) -> dict[int, int]:
        """What bubblewrap inherits."""
        return {BLOCK_DESCRIPTOR: self.reading}

    def options(self) -> tuple[str, ...]:
        """bubblewrap's options."""
        return ("--block-fd", str(BLOCK_DESCRIPTOR))

    def lift(self) -> None:
        """Let the command begin."""
        os.write(self.writing, b"!")

    def close(self) -> None:
        """Both ends; a command that was never let go begins without a network only if bubblewrap still lives, so kill it first."""
        os.close(self.reading)
        os.close(self.writing)


async def connect(ground: Ground, monitor: int) -> int:
    """Give the sandbox under bubblewrap's process *monitor* a way out; slirp4netns's pid. Raises EngineError."""
    ready, theirs = os.pipe()
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    owner = -1
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not ((inside := children(monitor)) and _has_loopback(inside[0]) and has_users(inside[0])):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.002)
            owner = owning_user_namespace(inside[0])
            fds = {0: nothing, 1: nothing, 2: nothing, nsenter.OWNER_DESCRIPTOR: owner, slirp.READY_DESCRIPTOR: theirs}
            pid = spawn(slirp.slirp(ground.slirp, inside[0], nsenter.OWNER), fds)
            os.close(theirs)
            theirs = -1
            await _readable(ready)
    except (OSError, TimeoutError) as error:
        raise EngineError("The sandbox got no network.", details=str(error), resolution="Run `sitewright doctor`.") from error
    finally:
        for descriptor in (ready, theirs, nothing, owner):
            if descriptor >= 0:
                os.close(descriptor)
    return pid


def _has_loopback(pid: int) -> bool:
    # bubblewrap gives the loopback its address and fails if somebody was faster; slirp4netns would be.
    with contextlib.suppress(OSError):
        return "127.0.0.1" in Path(f"/proc/{pid}/net/fib_trie").read_text()
    return False


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
    with contextlib.suppress(OSError):
        if not os.read(descriptor, 1):
            raise EngineError("slirp4netns ended before the network was there.", resolution="Run `sitewright doctor`.")
