"""Starting one instance as a copy of a warm parent: bubblewrap makes the usual sandbox around a holder, the copy enters it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import replace

from sitewright.engines.base import InstanceSpec
from sitewright.engines.environment import of_instance
from sitewright.engines.sandbox.launch import Ground
from sitewright.engines.sandbox.record import Folder, Record, save, status_field
from sitewright.engines.sandbox.rootfs import environment
from sitewright.engines.sandbox.spawn import start_ticks
from sitewright.engines.sandbox.warm import ANSWER_SECONDS, Copy, WarmStartError, job

HOLDER = ("/bin/sh", "-c", 'echo; read -r code; exit "${code:-137}"')
"""First inside: says that the sandbox stands, and ends as the app has ended. bubblewrap sees its code."""
HOLDER_ENVIRONMENT = (("PATH", "/usr/bin:/bin"),)


class Holding:
    """The two ends of what the holder says and hears; close both when they have been handed over."""

    def __init__(self) -> None:
        self.inside, self.outside = socket.socketpair()

    def close(self) -> None:
        """Ours are not needed any more."""
        self.inside.close()
        self.outside.close()


async def begin_inside(
    ground: Ground, record: Record, folder: Folder, copy: Copy, descriptors: tuple[int, ...], env: tuple[tuple[str, str], ...]
) -> Record:
    """Let the copy enter the sandbox that bubblewrap is making and begin the server there. *descriptors*: the holder's, then what becomes
    0, 1, 2 and 3 inside. Raises WarmStartError."""
    spec = record.spec
    program = await asyncio.to_thread(ground.seccomp.read_bytes) if ground.seccomp is not None else b""
    asked = job(spec, env, program, min(spec.box.limits.open_files, ground.most_open_files))
    first = await _first(folder)
    try:
        sandbox = os.pidfd_open(first)
        try:
            copy.send(asked, (descriptors[0], sandbox, *descriptors[1:]))
        finally:
            os.close(sandbox)
    except OSError as error:
        raise WarmStartError("The warm start failed.", details=str(error)) from error
    app = await copy.begun()
    record = replace(record, app=(app, start_ticks(app)))
    save(folder, record)
    return record


async def _first(folder: Folder) -> int:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                pid = status_field(folder, "child-pid")
                if pid:
                    return pid
                await asyncio.sleep(0.0003)
    raise WarmStartError("The sandbox did not come up.")


def shown_environment(ground: Ground, spec: InstanceSpec) -> tuple[tuple[str, str], ...]:
    """What the app finds in its environment."""
    return environment(ground.base, spec.box, (*of_instance(spec), ("LISTEN_FDS", "1")))
