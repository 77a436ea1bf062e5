"""What all messages have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()


class Ack(Message):
    """Understood and kept. ``problem`` says why not, in words for a person; "" is yes."""

    problem: str = ""


class Failure(Message):
    """The answer to a request that raised a SitewrightError; the client raises it again as that error."""

    failure: Literal[True] = True
    code: str
    message: str
    details: str = ""
    resolution: str = ""
    permanent: bool = True


class Nothing(Message):
    """No argument."""
