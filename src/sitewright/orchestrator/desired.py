"""What this node was told, on disk: one checked file a channel, so that sites run and restart while everything else is down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import is_id
from sitewright.errors import InvalidValueError
from sitewright.system.files import CorruptFileError, read_checked_json, write_checked_json

log = logging.getLogger(__name__)

_ADAPTER: TypeAdapter[DesiredChannel] = TypeAdapter(DesiredChannel)
SUFFIX = ".json"
DAMAGED = ".damaged"


class DesiredStore:
    """Channel id → what is wanted. All of it is in memory; a change is on disk before ``put`` returns.

    ``damaged`` names the channels whose file could not be read: nothing of theirs is touched until somebody says again what is wanted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._channels: dict[str, DesiredChannel] = {}
        self.damaged: set[str] = set()

    def load(self) -> None:
        """Read everything; a damaged file is set aside under another name."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._folder.glob(f"*{DAMAGED}")):
            self.damaged.add(path.name.removesuffix(DAMAGED))
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            channel_id = path.name.removesuffix(SUFFIX)
            if not is_id(channel_id):
                continue
            try:
                self._channels[channel_id] = _ADAPTER.validate_python(read_checked_json(path))
                self.damaged.discard(channel_id)
            except (CorruptFileError, ValidationError, ValueError, OSError) as error:
                log.error("desired.damaged", extra={"channel": channel_id, "reason": type(error).__name__})
                self.damaged.add(channel_id)
                path.rename(path.with_name(channel_id + DAMAGED))

    def put(self, channel: DesiredChannel) -> bool:
        """Keep it unless a newer one is kept already; returns whether it is new. Blocks until it is on disk.

        An older generation, or the same again, changes nothing. Raises InvalidValueError for an id that cannot name a file.
        """
        for name in (channel.channel_id, channel.site_id):
            if not is_id(name):
                raise InvalidValueError(f"“{name[:40]}” is not an id.")
        known = self._channels.get(channel.channel_id)
        if known is not None and known.generation >= channel.generation:
            return False
        write_checked_json(self._path(channel.channel_id), _ADAPTER.dump_python(channel, mode="json"))
        self._path(channel.channel_id).with_suffix(DAMAGED).unlink(missing_ok=True)
        self.damaged.discard(channel.channel_id)
        self._channels[channel.channel_id] = channel
        return True

    def forget(self, channel_id: str) -> None:
        """Drop what is known of a channel that is gone."""
        self._path(channel_id).unlink(missing_ok=True)
        self._channels.pop(channel_id, None)

    def get(self, channel_id: str) -> DesiredChannel | None:
        """What is wanted of that channel, or None."""
        return self._channels.get(channel_id)

    def all(self) -> Mapping[str, DesiredChannel]:
        """Everything wanted, by channel id."""
        return self._channels

    def compare(self, generations: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Against somebody else's list: what is missing or too old here, and what is here in excess (removed channels are not)."""
        wanted = tuple(
            sorted(
                channel_id
                for channel_id, generation in generations.items()
                if (known := self._channels.get(channel_id)) is None or known.generation < generation
            )
        )
        excess = tuple(sorted(c for c, known in self._channels.items() if c not in generations and not known.removed))
        return wanted, excess

    def _path(self, channel_id: str) -> Path:
        return self._folder / f"{channel_id}{SUFFIX}"
