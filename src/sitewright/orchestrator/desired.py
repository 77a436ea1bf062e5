"""What this node was told, on disk: one checked file a channel, so that sites run and restart while everything else is down.

In memory there are a few words a channel (``Told``), so that ten thousand channels cost a few megabytes; the document itself is read from
its file when it is needed, and the last ones stay decoded.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import is_id
from sitewright.errors import InvalidValueError
from sitewright.system.files import CorruptFileError, checked_body, scan_folder, write_checked_json

log = logging.getLogger(__name__)

_ADAPTER: TypeAdapter[DesiredChannel] = TypeAdapter(DesiredChannel)
SUFFIX = ".json"
DAMAGED = ".damaged"
DECODED = 512
"""Documents kept decoded, those used last; about 5 kB each."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is always in memory of a channel."""

    generation: int
    removed: bool


class DesiredStore:
    """Channel id → what is wanted. A change is on disk before ``put`` returns.

    ``damaged`` names the channels whose file could not be read: nothing of theirs is touched until somebody says again what is wanted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[str, Told] = {}
        self._hosts: dict[str, str] = {}
        self._decoded: OrderedDict[str, DesiredChannel] = OrderedDict()
        self._lock = threading.Lock()
        self.damaged: set[str] = set()

    def load(self) -> None:
        """Read everything once; a damaged file is set aside under another name."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._folder.glob(f"*{DAMAGED}")):
            self.damaged.add(path.name.removesuffix(DAMAGED))
        for name, content in scan_folder(self._folder, SUFFIX):
            channel_id = name.removesuffix(SUFFIX)
            if not is_id(channel_id):
                continue
            try:
                document = json.loads(checked_body(name, content))
                self._note(channel_id, Told(document["generation"], document.get("removed", False)), document.get("hosts", ()))
                self.damaged.discard(channel_id)
            except (CorruptFileError, ValueError, LookupError, TypeError) as error:
                self._set_aside(channel_id, error)

    def _note(self, channel_id: str, told: Told, hosts: Iterator[str] | tuple[str, ...]) -> None:
        self._told[channel_id] = told
        if not told.removed:
            self._hosts.update(dict.fromkeys(hosts, channel_id))

    def _set_aside(self, channel_id: str, error: Exception) -> None:
        log.error("desired.damaged", extra={"channel": channel_id, "reason": type(error).__name__})
        self.damaged.add(channel_id)
        self._told.pop(channel_id, None)
        path = self._path(channel_id)
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(channel_id + DAMAGED))

    def put(self, channel: DesiredChannel) -> bool:
        """Keep it unless a newer one is kept already; returns whether it is new. Blocks until it is on disk.

        An older generation, or the same again, changes nothing. Raises InvalidValueError for an id that cannot name a file.
        """
        for name in (channel.channel_id, channel.site_id):
            if not is_id(name):
                raise InvalidValueError(f"“{name[:40]}” is not an id.")
        known = self._told.get(channel.channel_id)
        if known is not None and known.generation >= channel.generation:
            return False
        before = self.get(channel.channel_id)
        write_checked_json(self._path(channel.channel_id), _ADAPTER.dump_python(channel, mode="json"))
        self._path(channel.channel_id).with_suffix(DAMAGED).unlink(missing_ok=True)
        self.damaged.discard(channel.channel_id)
        self._keep(channel)
        if before is not None:
            self._drop_hosts(before)
        self._note(channel.channel_id, Told(channel.generation, channel.removed), channel.hosts)
        return True

    def _drop_hosts(self, channel: DesiredChannel) -> None:
        for host in channel.hosts:
            if self._hosts.get(host) == channel.channel_id:
                del self._hosts[host]

    def _keep(self, channel: DesiredChannel) -> None:
        with self._lock:
            self._decoded[channel.channel_id] = channel
            self._decoded.move_to_end(channel.channel_id)
            while len(self._decoded) > DECODED:
                self._decoded.popitem(last=False)

    def forget(self, channel_id: str) -> None:
        """Drop what is known of a channel that is gone."""
        before = self.get(channel_id)
        if before is not None:
            self._drop_hosts(before)
        self._path(channel_id).unlink(missing_ok=True)
        self._told.pop(channel_id, None)
        self._decoded.pop(channel_id, None)

    def get(self, channel_id: str) -> DesiredChannel | None:
        """What is wanted of that channel; None when nothing is, or when its file cannot be read just now (``told`` says which).

        Reads a file when it was not asked for lately."""
        if channel_id not in self._told:
            return None
        channel = self._decoded.get(channel_id)
        if channel is None:
            channel = self._read(channel_id)
        if channel is not None:
            self._keep(channel)
        return channel

    def _read(self, channel_id: str) -> DesiredChannel | None:
        try:
            path = self._path(channel_id)
            return _ADAPTER.validate_json(checked_body(path.name, path.read_bytes()))
        except OSError as error:
            log.error("desired.not_read", extra={"channel": channel_id, "reason": str(error)})
        except (CorruptFileError, ValueError) as error:
            self._set_aside(channel_id, error)
        return None

    def channel_of(self, host: str) -> str:
        """The id of the channel that wants that host name; "" when none does."""
        return self._hosts.get(host, "")

    def told(self, channel_id: str) -> Told | None:
        """What is known of the channel without looking at the disk; None when nothing is wanted of it."""
        return self._told.get(channel_id)

    def ids(self) -> KeysView[str]:
        """The ids of all channels."""
        return self._told.keys()

    def removed(self) -> tuple[str, ...]:
        """The ids of those that are to be deleted."""
        return tuple(channel_id for channel_id, told in self._told.items() if told.removed)

    def scan(self) -> Iterator[DesiredChannel]:
        """Every document, one after the other, each read when its turn comes; what is kept decoded stays as it is."""
        for channel_id in list(self._told):
            channel = self._decoded.get(channel_id) or self._read(channel_id)
            if channel is not None:
                yield channel

    def all(self) -> Mapping[str, DesiredChannel]:
        """Everything wanted, by channel id, read as it is asked for: for its keys and its length, or where there are few."""
        return _Everything(self)

    def compare(self, generations: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Against somebody else's list: what is missing or too old here, and what is here in excess (removed channels are not)."""
        wanted = tuple(
            sorted(
                channel_id
                for channel_id, generation in generations.items()
                if (known := self._told.get(channel_id)) is None or known.generation < generation
            )
        )
        excess = tuple(sorted(c for c, known in self._told.items() if c not in generations and not known.removed))
        return wanted, excess

    def _path(self, channel_id: str) -> Path:
        return self._folder / f"{channel_id}{SUFFIX}"


class _Everything(Mapping[str, DesiredChannel]):
    """The store as a mapping; values are decoded one at a time."""

    def __init__(self, store: DesiredStore) -> None:
        self._store = store

    def __getitem__(self, channel_id: str) -> DesiredChannel:
        channel = self._store.get(channel_id)
        if channel is None:
            raise KeyError(channel_id)
        return channel

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.ids())

    def __contains__(self, channel_id: object) -> bool:
        return channel_id in self._store.ids()

    def __len__(self) -> int:
        return len(self._store.ids())
