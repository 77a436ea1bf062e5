"""The chain that a sandboxed command is started through: prlimit → nsenter (network, user) → bubblewrap (everything else) → /bin/sh.

bubblewrap reads its options from a pipe and waits for them. Until they are written nothing of the tenant's has run, so there is time to
put the process into its control groups and to note it on disk; if the engine dies before, the pipe ends and bubblewrap finds nothing to
run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sitewright.commands import bwrap, nsenter
from sitewright.engines.base import Sandboxed
from sitewright.engines.sandbox.rootfs import INSIDE_UID, Base
from sitewright.engines.sandbox.spawn import owning_user_namespace, spawn
from sitewright.errors import EngineError
from sitewright.system.cgroups import ControlGroups

_PIPE_DEFAULT = 60_000
_MOST_OPTIONS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """What this machine gives: found out once, when the engine opens."""

    root: bool
    base: Base
    seccomp: Path | None
    """The system call filter's file …"""
    program: bytes
    """… and what is in it."""
    groups: ControlGroups | None
    router_group: int
    most_open_files: int
    relay: str
    """Path of systemd-socket-proxyd; "" when it is missing."""
    slirp: str = ""
    """Path of slirp4netns, for an ordinary user's network; "" when it is missing."""


@dataclass(slots=True)
class Launched:
    """A process that waits for ``release``."""

    pid: int
    _pipe: int

    def release(self, options: bytes) -> None:
        """Give bubblewrap its options: off it goes. Raises EngineError when they are too long."""
        try:
            if len(options) > _PIPE_DEFAULT:
                _widen(self._pipe, len(options))
            os.set_blocking(self._pipe, False)
            if os.write(self._pipe, options) != len(options):
                raise BlockingIOError
        except BlockingIOError:
            raise EngineError(
                "The environment variables are too long.",
                details=f"{len(options)} bytes in all; {_MOST_OPTIONS} is the most.",
                resolution="Put long values into a file of the site.",
            ) from None
        except BrokenPipeError:
            raise EngineError("The sandbox ended before it had begun.", resolution="Run `sitewright doctor` on the machine.") from None
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let it end without having run anything."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _widen(pipe: int, size: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, min(_MOST_OPTIONS, size + 4096))


def launch(
    ground: Ground, box: Sandboxed, namespace: str, command: tuple[str, ...], descriptors: Mapping[int, int], *, limited: bool = True
) -> Launched:
    """Start the chain and hold it. *namespace* is the file of a network namespace, "" for none. Not *limited* is a command of the
    platform's own: one program less to load. Raises EngineError."""
    chain = bwrap.bwrap(command)
    if ground.root:
        chain = nsenter.in_network(namespace, box.uid, box.uid, chain)
    if limited:
        chain = nsenter.limited(min(box.limits.open_files, ground.most_open_files), chain)
    return _held(ground, chain, descriptors)


def launch_in_network_of(ground: Ground, pid: int, command: tuple[str, ...], descriptors: Mapping[int, int]) -> Launched:
    """As an ordinary user: start the chain in the network of a sandbox that runs already. Raises EngineError."""
    with _owner(ground, pid) as owner:
        return _held(ground, nsenter.in_network_of(pid, bwrap.bwrap(command)), {**descriptors, **owner})


def launch_beside(ground: Ground, box: Sandboxed, pid: int, command: tuple[str, ...], descriptors: Mapping[int, int]) -> Launched:
    """Start the chain in all namespaces of *pid* and hold it there. Raises EngineError."""
    user = (box.uid, box.uid) if ground.root else None
    chain = nsenter.beside(pid, bwrap.bwrap(command), user=user)
    with _owner(ground, pid) as owner:
        return _held(ground, nsenter.limited(min(box.limits.open_files, ground.most_open_files), chain), {**descriptors, **owner})


@contextlib.contextmanager
def _owner(ground: Ground, pid: int) -> Iterator[dict[int, int]]:
    """What an ordinary user needs to enter: the user namespace that may."""
    if ground.root:
        yield {}
        return
    try:
        descriptor = owning_user_namespace(pid)
    except OSError as error:
        raise EngineError("The instance could not be entered.", details=str(error), resolution="Try again.") from error
    try:
        yield {nsenter.OWNER_DESCRIPTOR: descriptor}
    finally:
        os.close(descriptor)


def _held(ground: Ground, argv: tuple[str, ...], descriptors: Mapping[int, int]) -> Launched:
    fds = bwrap.Descriptors()
    reading, writing = os.pipe()
    opened = [reading]
    try:
        passed = dict(descriptors)
        passed[fds.arguments] = reading
        if ground.seccomp is not None:
            passed[fds.seccomp] = os.open(ground.seccomp, os.O_RDONLY | os.O_CLOEXEC)
            opened.append(passed[fds.seccomp])
        pid = spawn(argv, passed)
    except OSError as error:
        os.close(writing)
        raise EngineError("The sandbox could not be started.", details=str(error), resolution="Run `sitewright doctor`.") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return Launched(pid, writing)


def confined(ground: Ground, *, status: bool) -> tuple[str, ...]:
    """bubblewrap's options for capabilities, filter and status."""
    options = bwrap.confined(status=status)
    if ground.seccomp is not None:
        return options
    at = options.index("--seccomp")
    return options[:at] + options[at + 2 :]


def common(*, own_network: bool, hostname: str) -> tuple[str, ...]:
    """bubblewrap's options for namespaces and identity. A session of its own: no terminal of the host within reach."""
    return (*bwrap.namespaces(own_network=own_network), *bwrap.identity(INSIDE_UID, INSIDE_UID, hostname), "--new-session")
