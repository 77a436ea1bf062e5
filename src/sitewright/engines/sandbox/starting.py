"""Starting one instance: its folder, its descriptors, its options, its relay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass, replace

from sitewright.commands import bwrap, relay
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.engines.environment import of_instance
from sitewright.engines.mounts import check_mounts
from sitewright.engines.sandbox import adoption, sockets, userland
from sitewright.engines.sandbox.launch import Ground, Launched, common, confined, launch, launch_in_network_of
from sitewright.engines.sandbox.output import make_pipe_wide
from sitewright.engines.sandbox.record import Folder, Record, save, status_field
from sitewright.engines.sandbox.rootfs import environment, file_system, socket_folder
from sitewright.engines.sandbox.spawn import has_users, start_ticks
from sitewright.engines.sandbox.warm import Copy, WarmStartError
from sitewright.engines.sandbox.warm_start import HOLDER, HOLDER_ENVIRONMENT, Holding, begin_inside, send_in
from sitewright.errors import EngineError
from sitewright.system import scratch

WAITER = ("/bin/sh", "-s")
"""Inside a sandbox that was made ahead without a copy: reads its script from a pipe, where nothing is until the instance is started."""
_GUEST_BYTES = 64 * 1024
_GUEST_FILES = 16


@dataclass(slots=True)
class Started:
    """What ``start_instance`` leaves behind: the record, and our end of the output."""

    record: Record
    output: int
    listener: socket.socket | None = None
    """Of one that adopts: kept until it has taken it, or a relay has."""


def make_folder(folder: Folder, spec: InstanceSpec) -> None:
    """The instance's folder with the FIFO, the hosts file and, for an app that makes its own socket, a folder of the tenant's.

    Raises OSError.
    """
    folder.path.mkdir(mode=0o711)
    folder.path.chmod(0o711)
    os.mkfifo(folder.output, 0o600)
    if os.geteuid() == 0:
        # The tenant's, because apps open /dev/stderr again by name (php-fpm does).
        os.chown(folder.output, spec.box.uid, spec.box.uid)
    # Not `::1 localhost`: an app that listens on “localhost” would take that one alone, where no visitor comes.
    folder.hosts.write_text(f"127.0.0.1 localhost {hostname(spec)}\n::1 ip6-localhost\n")
    folder.status.touch(mode=0o600)
    if not sockets.makes_own(spec.listen):
        return
    folder.guest_root.mkdir(mode=0o711)
    scratch.mount(folder.guest_root, _GUEST_BYTES, _GUEST_FILES)
    folder.guest_root.chmod(0o711)
    folder.guest.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder.guest, spec.box.uid, spec.box.uid)
    spec.socket.symlink_to("g/s")


def hostname(spec: InstanceSpec) -> str:
    """Of the sandbox: process type and id."""
    return f"{spec.process}-{spec.id}"[:63]


def variables(spec: InstanceSpec) -> tuple[tuple[str, str], ...]:
    """What the engine sets inside, over what the tenant says."""
    own = of_instance(spec)
    return (*own, ("LISTEN_FDS", "1")) if spec.listen is Listen.FD else own


def options(ground: Ground, spec: InstanceSpec, folder: Folder, *, network: bool, held: bool = False, entered: bool = False) -> bytes:
    """All of bubblewrap's options. Raises EngineError when a value cannot be passed.

    *held*: the command is one of ours that waits. It is told nothing of the tenant's: a variable for the loader would let the tenant's code
    run, or wait, before the copy is confined. *entered*: by a copy, which is to hear of the first process inside.
    """
    told = HOLDER_ENVIRONMENT if held else environment(ground.base, spec.box, (*variables(spec), *adoption.variables(ground, spec)))
    guest = socket_folder(folder.guest) if sockets.makes_own(spec.listen) else None
    parts = (
        *common(own_network=not network, hostname=hostname(spec)),
        *file_system(ground.base, spec.box, guest, folder.hosts),
        *bwrap.environment(told),
        *confined(ground, status=True),
        *(bwrap.told() if entered else ()),
    )
    return encoded(parts)


def encoded(parts: tuple[str, ...]) -> bytes:
    """Options in bubblewrap's form. Raises EngineError."""
    try:
        return bwrap.encode(parts)
    except ValueError as error:
        raise EngineError("An environment variable holds a NUL character.", resolution="Change its value.") from error


@dataclass(slots=True)
class Handed:
    """What one start hands over: the listening socket, and for a warm start the copy and what the holder is told by. ``script``: our end of
    the pipe to one that waits for its script."""

    copy: Copy | None
    waits: bool = False
    script: int = -1
    listener: socket.socket | None = None
    holding: Holding | None = None
    adopting: bool = False

    def close(self) -> None:
        if self.listener is not None:
            self.listener.close()
        if self.holding is not None:
            self.holding.close()


async def start_instance(
    ground: Ground, spec: InstanceSpec, folder: Folder, link: tuple[int, str], now: float, copy: Copy | None = None
) -> Started:
    """Start it; *link* is (number, namespace file) of its network or (-1, ""), *copy* a warm parent's. On failure nothing is left running.

    Raises EngineError; WarmStartError when it is worth trying again without the copy.
    """
    check_mounts(spec.box)
    if spec.listen is Listen.PORT and not ground.relay:
        raise EngineError(
            "Apps that listen on a TCP port need systemd-socket-proxyd, which is missing.",
            resolution="Install it: apt-get install systemd",
        )
    launched: list[Launched] = []
    handed = Handed(copy, adopting=bool(adoption.variables(ground, spec)))
    output = -1
    try:
        make_folder(folder, spec)
        if sockets.made_by_engine(spec.listen):
            handed.listener = sockets.make_listener(spec.socket, ground.router_group)
        output = os.open(folder.output, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        make_pipe_wide(output)
        # First of all what takes time: programs are loaded while the rest is done. They wait for their options.
        launch_all(ground, spec, folder, link[1], handed, launched)
        into_groups(ground, spec, handed, launched)
        identities = [(each.pid, start_ticks(each.pid)) for each in launched]
        record = Record(spec, now, identities[0], identities[1] if len(identities) > 1 else (0, 0), link[0], adopting=handed.adopting)
        save(folder, record)
        launched[0].release(options(ground, spec, folder, network=link[0] >= 0, held=copy is not None, entered=copy is not None))
        record = await _assist(ground, record, folder, handed, launched[1:])
        listener = handed.listener.dup() if handed.listener is not None and handed.adopting else None
    except BaseException as error:
        for each in launched:
            each.abandon()
        if output >= 0:
            os.close(output)
        if isinstance(error, OSError):
            raise EngineError("The instance could not be started.", details=str(error), resolution="It is tried again.") from error
        raise
    finally:
        handed.close()
    return Started(record, output, listener)


async def _assist(ground: Ground, record: Record, folder: Folder, handed: Handed, relays: list[Launched]) -> Record:
    """What comes after bubblewrap has its options: the copy goes in, or the relay gets its own."""
    if handed.copy is not None:
        send_copy(ground, record.spec, folder, handed)
        return await begin_inside(ground, record, folder, handed.copy)
    for each in relays:
        each.release(adoption.relay_options(ground))
    if not relays and not ground.root:
        return await _assistants_of_ordinary_user(ground, record, folder, handed.listener)
    return record


def send_copy(ground: Ground, spec: InstanceSpec, folder: Folder, handed: Handed, *, ahead: bool = False) -> None:
    """Have the copy go in. Raises WarmStartError."""
    assert handed.copy is not None
    assert handed.holding is not None
    writing = os.open(folder.output, os.O_RDWR | os.O_CLOEXEC)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        listener = (handed.listener.fileno(),) if handed.listener is not None else ()
        descriptors = (handed.holding.outside.fileno(), handed.holding.told, nothing, writing, writing, *listener)
        send_in(ground, spec, handed.copy, descriptors, ahead=ahead)
    finally:
        os.close(writing)
        os.close(nothing)


def launch_all(ground: Ground, spec: InstanceSpec, folder: Folder, namespace: str, handed: Handed, launched: list[Launched]) -> None:
    """Load the programs: bubblewrap, which waits for its options, and the relay. Raises EngineError, OSError."""
    writing = os.open(folder.output, os.O_RDWR | os.O_CLOEXEC)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    status = os.open(folder.status, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    opened = [writing, nothing, status]
    if handed.copy is not None:
        handed.holding = Holding()
    try:
        streams = {0: nothing, 1: writing, 2: writing}
        noted = {bwrap.Descriptors().status: status}
        listener = {adoption.LISTENER: handed.listener.fileno()} if handed.listener is not None else {}
        if handed.holding is not None:
            within = {**handed.holding.within(), 2: writing, **noted}
            launched.append(launch(ground, spec.box, namespace, HOLDER, within, limited=False))
            handed.holding.let_go_within()
        else:
            fds = {**streams, **noted, **(listener if spec.listen is Listen.FD or handed.adopting else {})}
            if handed.waits:
                reading, handed.script = os.pipe()
                opened.append(reading)
                fds[0] = reading
            launched.append(launch(ground, spec.box, namespace, WAITER if handed.waits else ("/bin/sh", "-c", spec.box.command), fds))
        if spec.listen is Listen.PORT and ground.root and not handed.adopting:
            launched.append(launch(ground, spec.box, namespace, relay.relay(ground.relay, spec.port), {**streams, **listener}))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def into_groups(ground: Ground, spec: InstanceSpec, handed: Handed, launched: list[Launched]) -> None:
    """Its limits, before anything of it has begun. Raises OSError."""
    if ground.groups is not None:
        ground.groups.create(spec.id, spec.box.limits)
        for each in launched:
            ground.groups.add(spec.id, each.pid)
        if handed.copy is not None:
            try:
                ground.groups.add(spec.id, handed.copy.pid)
            except OSError as error:
                raise WarmStartError("The copy is gone.", details=str(error)) from error


async def _assistants_of_ordinary_user(ground: Ground, record: Record, folder: Folder, listener: socket.socket | None) -> Record:
    if userland.wanted(ground, record.spec.box):
        slirp = await userland.connect(ground, record.main[0])
        record = replace(record, slirp=(slirp, start_ticks(slirp)))
        save(folder, record)
    if record.spec.listen is not Listen.PORT or listener is None:
        return record
    first = await first_process(folder)
    output = os.open(folder.output, os.O_RDWR | os.O_CLOEXEC)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fds = {0: nothing, 1: output, 2: output, adoption.LISTENER: listener.fileno()}
        launched = launch_in_network_of(ground, first, relay.relay(ground.relay, record.spec.port), fds)
    finally:
        os.close(output)
        os.close(nothing)
    record = replace(record, relay=(launched.pid, start_ticks(launched.pid)))
    save(folder, record)
    launched.release(adoption.relay_options(ground))
    return record


async def first_process(folder: Folder, seconds: float = 5.0) -> int:
    """Wait until bubblewrap has said which process is the first inside, and that one knows its user. Raises EngineError."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                pid = status_field(folder, "child-pid")
                if pid is not None and has_users(pid):
                    return pid
                await asyncio.sleep(0.002)
    raise EngineError("The sandbox did not come up.", resolution="Run `sitewright doctor` on the machine.")
