"""Sandboxes made ahead: everything of an instance but its own program, which begins when the instance is started.

Two kinds. Where a warm parent fits, its copy is inside already, confined, and waits for its job (``Copy``). Else a shell is inside that
waits for its script. Neither has been told a variable or the command of the site. Nothing is noted on disk: what an engine that died has
made ahead ends by itself, because the socket or pipe that it waits on has ended, and the next engine cleans up what has no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.engines.mounts import check_mounts
from sitewright.engines.sandbox import adoption, sockets, starting
from sitewright.engines.sandbox.families import family_of
from sitewright.engines.sandbox.held import clear, empty
from sitewright.engines.sandbox.launch import Ground, Launched
from sitewright.engines.sandbox.network import NetworkPool
from sitewright.engines.sandbox.output import make_pipe_wide
from sitewright.engines.sandbox.record import Folder, Record, save
from sitewright.engines.sandbox.rootfs import environment
from sitewright.engines.sandbox.spawn import Process, start_ticks
from sitewright.engines.sandbox.starting import Handed, Started
from sitewright.engines.sandbox.warm import RENEW_SECONDS, Copy, WarmParents, WarmStartError
from sitewright.engines.sandbox.warm_start import hand_over
from sitewright.errors import EngineError, SitewrightError
from sitewright.system.cgroups import ControlGroups

log = logging.getLogger(__name__)

_SCRIPT_ROOM = 48 * 1024
"""A pipe takes so much at once; who has more variables is started in the ordinary way."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_BY_SHELL = frozenset({"IFS", "OPTIND", "PPID", "PS1", "PS2", "PS4", "LC_ALL", "LC_CTYPE", "ENV", "_"})
"""What means something to the waiting shell itself, or does not leave it as it came."""


@dataclass(slots=True)
class Prepared:
    """One sandbox made ahead. ``process`` is bubblewrap's; ``link`` as in ``start_instance``; ``app`` is the copy inside, 0 without."""

    spec: InstanceSpec
    folder: Folder
    link: tuple[int, str]
    process: Process
    ticks: int
    output: int
    seen: tuple[tuple[int, int], ...]
    """Which folders its mounts are: a release may have been laid out anew since, under the same name."""
    made_at: float
    """Seconds of the loop's clock."""
    adopting: bool
    copy: Copy | None = None
    app: int = 0
    script: int = -1
    """The pipe that the waiting shell reads from."""
    listener: socket.socket | None = None

    def fits(self, spec: InstanceSpec) -> bool:
        """Whether it is the very instance that is asked for now, and lives."""
        alive = start_ticks(self.process.pid) == self.ticks and (self.copy is None or (bool(start_ticks(self.app)) and self.copy.lives))
        young = asyncio.get_running_loop().time() - self.made_at < RENEW_SECONDS
        return alive and young and spec == self.spec and self.seen == identities(spec)

    async def begin(self, ground: Ground, now: float) -> Started:
        """Note it and let its program begin. Raises EngineError, OSError; then it is to be taken back."""
        app = (self.app, start_ticks(self.app)) if self.app else (0, 0)
        record = Record(self.spec, now, (self.process.pid, self.ticks), link=self.link[0], app=app, adopting=self.adopting)
        script = b"" if self.copy is not None else script_of(ground, self.spec)
        save(self.folder, record)
        if self.copy is not None:
            await hand_over(ground, self.spec, self.copy)
        else:
            os.set_blocking(self.script, False)
            if os.write(self.script, script) != len(script):
                raise BlockingIOError
            os.close(self.script)
        self.process.forget()
        return Started(record, self.output, self.listener)

    async def end(self, groups: ControlGroups) -> None:
        """End every process of it and close what is ours."""
        for descriptor in (self.script, self.output):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if self.listener is not None:
            self.listener.close()
        if self.copy is not None:
            self.copy.close()
        self.process.kill()
        await empty(groups, self.spec.id)
        await self.process.ended.wait()
        self.process.forget()


def identities(spec: InstanceSpec) -> tuple[tuple[int, int], ...]:
    """The folders that it mounts, as the kernel knows them. While a sandbox has one, no other folder gets its number. Raises nothing:
    one that is missing is (0, 0)."""
    found = []
    for mount in spec.box.mounts:
        try:
            status = mount.source.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((status.st_dev, status.st_ino))
    return tuple(found)


def can_wait(ground: Ground, spec: InstanceSpec) -> bool:
    """Whether such an instance can be made ahead here: as root, and without a relay, which would be a second sandbox."""
    if not ground.root or ground.groups is None:
        return False
    return spec.listen is not Listen.PORT or bool(adoption.variables(ground, spec))


def script_of(ground: Ground, spec: InstanceSpec) -> bytes:
    """What the waiting shell is told: the variables, and to become the shell that an ordinary start begins with.

    Raises WarmStartError when they are not for a shell to pass on.
    """
    shown = dict(environment(ground.base, spec.box, (*starting.variables(spec), *adoption.variables(ground, spec))))
    if any(not _NAME.fullmatch(name) or name in _NOT_BY_SHELL for name in shown):
        raise WarmStartError("A variable has a name that no shell passes on.")
    lines = ("exec </dev/null", *(f"export {name}={shlex.quote(value)}" for name, value in shown.items()))
    # One line of commands: the shell has read all of it when its input becomes another.
    text = "{ " + "; ".join((*lines, f"exec /bin/sh -c {shlex.quote(spec.box.command)}")) + "; }\n"
    script = text.encode(errors="surrogateescape")
    if len(script) > _SCRIPT_ROOM or b"\0" in script:
        raise WarmStartError("The variables are too long for a sandbox made ahead.")
    return script


async def make(ground: Ground, spec: InstanceSpec, folder: Folder, link: tuple[int, str], copy: Copy | None) -> Prepared:
    """Make it. Raises EngineError, OSError; then groups, folder, network and copy are the caller's to take back."""
    check_mounts(spec.box)
    launched: list[Launched] = []
    handed = Handed(copy, waits=copy is None, adopting=bool(adoption.variables(ground, spec)))
    seen, output = identities(spec), -1
    try:
        starting.make_folder(folder, spec)
        if sockets.made_by_engine(spec.listen):
            handed.listener = sockets.make_listener(spec.socket, ground.router_group)
        output = os.open(folder.output, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        make_pipe_wide(output)
        starting.launch_all(ground, spec, folder, link[1], handed, launched)
        starting.into_groups(ground, spec, handed, launched)
        launched[0].release(starting.options(ground, spec, folder, network=link[0] >= 0, held=True, entered=copy is not None))
        app = 0
        if copy is not None:
            starting.send_copy(ground, spec, folder, handed, ahead=True)
            app = await copy.begun()
        else:
            await starting.first_process(folder)
        listener = handed.listener.dup() if handed.listener is not None and handed.adopting else None
    except BaseException:
        for each in launched:
            each.abandon()
            Process.started(each.pid)  # whoever ends it: its end is taken note of
        for descriptor in (output, handed.script):
            if descriptor >= 0:
                os.close(descriptor)
        raise
    finally:
        handed.close()
    process, made_at = Process.started(launched[0].pid), asyncio.get_running_loop().time()
    return Prepared(
        spec, folder, link, process, start_ticks(process.pid), output, seen, made_at, handed.adopting, copy, app, handed.script, listener
    )


class PreparedInstances:
    """All that one engine has made ahead, by instance id."""

    def __init__(self, instances: Path, ground: Ground, network: NetworkPool | None, warm: WarmParents | None) -> None:
        self._instances = instances
        self._ground = ground
        self._network = network
        self._warm = warm
        self._made: dict[str, Prepared] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}

    @property
    def ids(self) -> frozenset[str]:
        """Of all that wait."""
        return frozenset(self._made)

    async def make(self, spec: InstanceSpec) -> bool:
        """Make that instance ahead and keep it until it is taken, discarded, too old, or ends. False when that cannot be, or is so."""
        if spec.id in self._made or not can_wait(self._ground, spec):
            return False
        link, copy = (-1, ""), None
        folder = Folder(self._instances / spec.id)
        try:
            if self._warm is not None and family_of(spec) is not None:
                # One that would begin as a copy does not wait for less: its ordinary start takes longer than a sandbox does.
                copy = await self._warm.copy(spec) if await self._warm.warmed(spec) else None
                if copy is None:
                    return False
            else:
                script_of(self._ground, spec)
            if spec.box.network and self._network is not None:
                taken = await self._network.take()
                link = (taken.index, taken.path)
            made = await make(self._ground, spec, folder, link, copy)
        except BaseException as error:
            if copy is not None:
                copy.close()
            await self._clean(spec, folder, link)
            if not isinstance(error, (SitewrightError, OSError)):
                raise
            log.info("not_prepared", extra={"instance": spec.id, "error": str(error)})
            return False
        self._made[spec.id] = made
        self._watches[spec.id] = asyncio.create_task(self._watch(made), name=f"prepared-{spec.id}")
        return True

    async def begin(self, spec: InstanceSpec, now: float) -> Started | None:
        """Let the one that was made for exactly this instance begin. None when there is none; what does not fit any more is taken back."""
        made = self._release(spec.id)
        if made is None:
            return None
        try:
            if made.fits(spec):
                if self._warm is not None and made.copy is not None:
                    self._warm.remind(made.copy)
                started = await made.begin(self._ground, now)
                if self._warm is not None and made.copy is not None:
                    self._warm.learn(made.copy)
                return started
        except (EngineError, OSError) as error:
            log.warning("prepared_start_failed", extra={"instance": spec.id, "error": str(error)})
        except BaseException:
            await self._take_back(made)
            raise
        await self._take_back(made)
        return None

    async def discard(self, instance_id: str) -> None:
        """Take it back; unknown ones are fine."""
        made = self._release(instance_id)
        if made is not None:
            await self._take_back(made)

    async def close(self) -> None:
        """Take back all."""
        for instance_id in tuple(self._made):
            await self.discard(instance_id)

    async def _take_back(self, made: Prepared) -> None:
        assert self._ground.groups is not None
        await made.end(self._ground.groups)
        await self._clean(made.spec, made.folder, made.link)

    async def _clean(self, spec: InstanceSpec, folder: Folder, link: tuple[int, str]) -> None:
        """Nothing of the tenant's has run in it: its network is as new."""
        await clear(self._ground.groups, spec.id, folder)
        if link[0] >= 0 and self._network is not None:
            await self._network.give_back(link[0])

    def _release(self, instance_id: str) -> Prepared | None:
        watch = self._watches.pop(instance_id, None)
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        return self._made.pop(instance_id, None)

    async def _watch(self, made: Prepared) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await made.process.ended.wait()
        await self.discard(made.spec.id)
