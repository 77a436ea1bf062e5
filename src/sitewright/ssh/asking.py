"""What the door asks the manager. The manager may be away for a moment, as when it is replaced: the door waits a little."""

from __future__ import annotations

from sitewright.bus.base import Bus
from sitewright.bus.messages.doors import DoorGrant, DoorKey, DoorOpen, DoorPerson, DoorService
from sitewright.bus.subjects import DOOR, door
from sitewright.errors import NotFoundError, SitewrightError

KEY_SECONDS = 10.0
OPEN_SECONDS = 30.0
START_SECONDS = 75.0
"""Something may have to be woken, or a box started."""


class Manager:
    """The manager as the door sees it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def whose(self, fingerprint: str, address: str, *, used: bool = False) -> DoorPerson | None:
        """Whose key that is; None is nobody's. Raises UnavailableError."""
        question = DoorKey(fingerprint=fingerprint, address=address, used=used)
        try:
            return await self._bus.request(door(DOOR, "key"), question, DoorPerson, KEY_SECONDS)
        except NotFoundError:
            return None

    async def open(self, question: DoorOpen) -> str:
        """Have it opened; the node that does it. Raises SitewrightError, whose words are for the person."""
        seconds = OPEN_SECONDS if question.service in {DoorService.GIT_READ, DoorService.GIT_WRITE} else START_SECONDS
        return (await self._bus.request(door(DOOR, "open"), question, DoorGrant, seconds)).node


def in_words(error: SitewrightError) -> bytes:
    """An error for a person's screen, each line marked as the platform's."""
    parts = [part for part in (error.message, error.details, error.resolution) if part]
    return "".join(f"sitewright: {line}\r\n" for part in parts for line in part.splitlines()).encode()


def on_one_line(error: SitewrightError) -> str:
    """An error as the reason of a channel that was not opened: clients show such a reason as plain ASCII."""
    words = " ".join(f"{error.message} {error.resolution}".split())
    return words.translate(str.maketrans("“”‘’–", "\"\"''-")).encode("ascii", "replace").decode()
