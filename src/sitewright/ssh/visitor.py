"""Who is at the door: one connection, from its first byte to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sitewright.bus.base import Bus
from sitewright.bus.messages.doors import DoorOpen, DoorPerson
from sitewright.errors import ForbiddenError
from sitewright.ssh.asking import Manager
from sitewright.ssh.library import SSHServerConnection

T = TypeVar("T")
FRESH_SECONDS = 5.0
"""So long after sign-in, or the last look, a key is believed to be its owner's."""


@dataclass(slots=True)
class Visitor:
    """``name`` is what they sign in as (git, or a site's name); ``user_id`` is "" before they have signed in."""

    bus: Bus
    manager: Manager
    address: str = ""
    name: str = ""
    user_id: str = ""
    email: str = ""
    fingerprint: str = ""
    checked_at: float = 0.0
    """When the manager last said whose key that is."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    """What goes on for them; cancelled when they leave, but for what ends something."""
    channels: int = 0
    gone: bool = False
    greeting: str = ""
    leave: Callable[[SSHServerConnection], None] = lambda _: None
    """Told of the connection that has ended."""

    def signed_in(self, owner: DoorPerson, fingerprint: str) -> None:
        """They have proven who they are, with that key."""
        self.user_id, self.email, self.fingerprint = owner.user_id, owner.email, fingerprint
        self.checked_at = asyncio.get_running_loop().time()

    async def open(self, question: DoorOpen) -> str:
        """Have it opened; the node that does it. Raises SitewrightError.

        A connection may last for days: whether the key still is theirs is asked again. That question is answered at once or not at all,
        so a manager that is away is noticed sooner than by the other one, for which something may have to be woken.
        """
        now = asyncio.get_running_loop().time()
        if now - self.checked_at > FRESH_SECONDS:
            owner = await self.manager.whose(self.fingerprint, self.address)
            if owner is None or owner.user_id != self.user_id:
                raise ForbiddenError("The key that you came in with is not known any more.")
            self.checked_at = now
        return await self.manager.open(question)

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
