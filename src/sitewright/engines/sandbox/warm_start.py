"""Starting one instance as a copy of a warm parent: bubblewrap makes the usual sandbox around a holder, the copy enters it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

from sitewright.commands import bwrap
from sitewright.engines.base import InstanceSpec
from sitewright.engines.environment import of_instance
from sitewright.engines.sandbox.launch import Ground
from sitewright.engines.sandbox.record import Folder, Record, save
from sitewright.engines.sandbox.rootfs import environment
from sitewright.engines.sandbox.spawn import start_ticks
from sitewright.engines.sandbox.warm import Copy, WarmStartError, job, place

HOLDER = ("/bin/sh", "-c", 'echo; read -r code; exit "${code:-137}"')
"""First inside: says that the sandbox stands, and ends as the app has ended. bubblewrap sees its code."""
HOLDER_ENVIRONMENT = (("PATH", "/usr/bin:/bin"),)


class Holding:
    """What the sandbox and the copy say to each other: a socket between holder and copy, and a pipe on which bubblewrap names the first
    process inside. Close it when both have theirs."""

    def __init__(self) -> None:
        self._inside, self.outside = socket.socketpair()
        self.told, self._telling = os.pipe()

    def within(self) -> dict[int, int]:
        """What bubblewrap inherits."""
        inside = self._inside.fileno()
        return {0: inside, 1: inside, bwrap.Descriptors().info: self._telling}

    def let_go_within(self) -> None:
        """Of what bubblewrap has now, so that its end is seen."""
        self._inside.close()
        if self._telling >= 0:
            os.close(self._telling)
            self._telling = -1

    def close(self) -> None:
        """Ours are not needed any more."""
        self.let_go_within()
        self.outside.close()
        if self.told >= 0:
            os.close(self.told)
            self.told = -1


def send_in(ground: Ground, spec: InstanceSpec, copy: Copy, descriptors: tuple[int, ...], *, ahead: bool = False) -> None:
    """Have the copy enter the sandbox that bubblewrap is making, and wait there for its job. *descriptors*: the holder's, that which names
    the first process, then what becomes 0, 1, 2 and 3 inside. Raises WarmStartError."""
    try:
        copy.enter(place(spec, ground.program, min(spec.box.limits.open_files, ground.most_open_files), ahead=ahead), descriptors)
    except OSError as error:
        raise WarmStartError("The warm start failed.", details=str(error)) from error


async def hand_over(ground: Ground, spec: InstanceSpec, copy: Copy) -> None:
    """Give the process inside its job: to become the server. Raises WarmStartError."""
    env = environment(ground.base, spec.box, (*of_instance(spec), ("LISTEN_FDS", "1")))
    await copy.become(job(spec, env))


async def begin_inside(ground: Ground, record: Record, folder: Folder, copy: Copy) -> Record:
    """Give the job, wait until the server begins inside, and note it. Raises WarmStartError."""
    await hand_over(ground, record.spec, copy)
    app = await copy.begun()
    record = replace(record, app=(app, start_ticks(app)))
    save(folder, record)
    return record
