"""Who is at the door: one connection, from its first byte to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sitewright.bus.base import Bus
from sitewright.ssh.asking import Manager
from sitewright.ssh.library import SSHServerConnection
from sitewright.ssh.wish import GIT_USER

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

    def greeting(self) -> str:
        """For `ssh git@HOST`: who they are and what they can do."""
        return (
            f"Hello {self.email}, your key is known here.\r\n\r\n"
            f"  git clone ssh://{GIT_USER}@HOST:PORT/SITE   the repository of a site; push to it to deploy\r\n"
            "  ssh -p PORT SITE@HOST                a shell in a site (SITE--CHANNEL for another channel)\r\n"
            "  sftp -P PORT SITE@HOST               the files of a live channel; scp and rsync do as well\r\n"
            "  ssh -p PORT -L 8000:localhost:8000 SITE@HOST\r\n"
            "                                       a port of its running process\r\n"
        )
