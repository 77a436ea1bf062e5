"""Who is at the door: one connection, from its first byte to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sitewright.bus.base import Bus
from sitewright.ssh.asking import Manager
from sitewright.ssh.library import SSHServerConnection

T = TypeVar("T")


@dataclass(slots=True)
class Visitor:
    """``name`` is what they sign in as (git, or a site's name); ``user_id`` is "" before they have signed in."""

    bus: Bus
    manager: Manager
    address: str = ""
    name: str = ""
    user_id: str = ""
    email: str = ""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    """What goes on for them; cancelled when they leave, but for what ends something."""
    channels: int = 0
    greeting: str = ""
    leave: Callable[[SSHServerConnection], None] = lambda _: None
    """Told of the connection that has ended."""

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do *work* for them."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told


def greeting(host: str, port: int) -> str:
    """For `ssh git@HOST`: who they are (`{who}`) and what they can do."""
    ssh, capital = (f" -p {port}", f" -P {port}") if port != 22 else ("", "")
    lines = (
        "Hello {who}, your key is known here.",
        "",
        "The repository of a site; what is pushed to it is deployed:",
        f"  git clone ssh://git@{host}{':' + str(port) if ssh else ''}/SITE",
        "A shell or a command in a site, or in another of its channels:",
        f"  ssh{ssh} SITE@{host}",
        f"  ssh{ssh} SITE--CHANNEL@{host} COMMAND",
        "The files of a live channel; scp and rsync do as well:",
        f"  sftp{capital} SITE@{host}",
        "A port of its running process:",
        f"  ssh{ssh} -N -L 8000:localhost:8000 SITE@{host}",
    )
    return "".join(f"{line}\r\n" for line in lines)
