"""What the engine notes of an instance on disk, so that another engine object finds it again."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Exit, InstanceSpec, Mount, Sandboxed
from sitewright.system.files import write_atomic


@dataclass(frozen=True, slots=True)
class Record:
    """An instance that was started. Processes are (pid, start ticks); ``link`` is the number of its network, -1 without."""

    spec: InstanceSpec
    started_at: float
    main: tuple[int, int]
    relay: tuple[int, int] = (0, 0)
    link: int = -1
    slirp: tuple[int, int] = (0, 0)
    app: tuple[int, int] = (0, 0)
    """After a warm start: the server, which is no child of the first process inside."""
    adopting: bool = False
    """It was handed the listening socket, with the script that makes Node take it; a relay is started only if it opens a port."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one instance below the run folder."""

    path: Path

    @property
    def record(self) -> Path:
        """See ``Record``."""
        return self.path / "record.json"

    @property
    def exit(self) -> Path:
        """How it ended, once the engine has seen it."""
        return self.path / "exit.json"

    @property
    def status(self) -> Path:
        """bubblewrap's own notes: the first process, the exit code."""
        return self.path / "status"

    @property
    def output(self) -> Path:
        """The FIFO that it writes to."""
        return self.path / "out"

    @property
    def guest(self) -> Path:
        """The folder where it makes its own socket; the tenant's."""
        return self.path / "g" / "tenant"

    @property
    def guest_root(self) -> Path:
        """A small file system of its own, so that a tenant cannot fill the run folder."""
        return self.path / "g"

    @property
    def hosts(self) -> Path:
        """Its /etc/hosts."""
        return self.path / "hosts"


def save(folder: Folder, record: Record) -> None:
    """Note it; the run folder does not outlive a reboot, so nothing is flushed."""
    write_atomic(folder.record, json.dumps(record, default=_plain).encode(), mode=0o600, durable=False)


def _plain(value: object) -> object:
    """What JSON has no form for. Not ``asdict``, which copies all values first and takes many times as long."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def load(folder: Folder) -> Record | None:
    """What was noted, or None when there is nothing whole."""
    try:
        value = json.loads(folder.record.read_text())
        return Record(
            spec=_spec(value["spec"]),
            started_at=value["started_at"],
            main=(value["main"][0], value["main"][1]),
            relay=(value["relay"][0], value["relay"][1]),
            link=value["link"],
            slirp=(value["slirp"][0], value["slirp"][1]),
            app=(value.get("app", (0, 0))[0], value.get("app", (0, 0))[1]),
            adopting=value.get("adopting", False),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _spec(value: dict[str, Any]) -> InstanceSpec:
    box = value["box"]
    sandboxed = Sandboxed(
        **{
            **box,
            "env": tuple((name, text) for name, text in box["env"]),
            "mounts": tuple(Mount(Path(mount["source"]), mount["target"], mount["writable"]) for mount in box["mounts"]),
            "limits": Limits(**box["limits"]),
        }
    )
    known = {"box": sandboxed, "listen": Listen(value["listen"]), "socket": Path(value["socket"]), "warm": tuple(value.get("warm", ()))}
    return InstanceSpec(**{**value, **known})


def save_exit(folder: Folder, end: Exit) -> None:
    """Note how it ended."""
    write_atomic(folder.exit, json.dumps(asdict(end)).encode(), mode=0o600, durable=False)


def load_exit(folder: Folder) -> Exit | None:
    """How it ended, or None when nobody noted it."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Exit(**json.loads(folder.exit.read_text()))
    return None


def status_field(folder: Folder, name: str) -> int | None:
    """A number of bubblewrap's status documents (`child-pid`, `exit-code`), None while it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in folder.status.read_text().splitlines():
            value = json.loads(line).get(name)
            if isinstance(value, int):
                return value
    return None
