"""Apps that take the engine's listening socket themselves (Node: docs/decisions/010), and the relay for those that did not.

Who has called listen(2) on a socket last can be read from it. So nothing has to be told by the app or remembered by the engine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

from sitewright.commands import bwrap, relay
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.engines.environment import adopting
from sitewright.engines.sandbox import sockets
from sitewright.engines.sandbox.held import Held
from sitewright.engines.sandbox.launch import Ground, common, confined, launch
from sitewright.engines.sandbox.record import save
from sitewright.engines.sandbox.rootfs import environment
from sitewright.engines.sandbox.spawn import Process, children, start_ticks
from sitewright.errors import EngineError

LISTENER = 3
"""The descriptor that is the listening socket, for an app and for the relay."""


def variables(ground: Ground, spec: InstanceSpec) -> tuple[tuple[str, str], ...]:
    """What makes the app take the socket; () for one that does not adopt, or cannot here. Only root sees two users apart in a socket."""
    if not (ground.root and spec.adopts and spec.listen is Listen.PORT):
        return ()
    return adopting(environment(ground.base, spec.box)) or ()


def has_adopted(held: Held) -> bool:
    """Whether the app has taken the listening socket. From then on it alone holds it; a relay that another port had asked for ends."""
    if not held.record.adopting:
        return False
    uid = held.spec.box.uid
    if held.listener is None:
        return (held.relay is None or held.relay.ended.is_set()) and sockets.answers_as(held.spec.socket, uid)
    if not sockets.taken_by(held.listener, uid):
        return False
    held.let_go()
    if held.relay is not None and not held.relay.ended.is_set():
        for pid in children(held.relay.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        held.relay.kill()
    return True


def wants_relay(held: Held) -> bool:
    """Whether it was to take the socket, so that no relay was started with it."""
    return held.record.adopting and held.relay is None


def relay_after_all(ground: Ground, held: Held, namespace: str) -> None:
    """Put a relay between the socket, with everybody who waits in it, and the port that the app has opened. Raises EngineError.

    An engine that was opened since the start does not have the socket any more and makes a new one; who waits in the old one is not served.
    """
    spec = held.spec
    output = os.open(held.folder.output, os.O_RDWR | os.O_CLOEXEC)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if held.listener is None:
            held.listener = sockets.make_listener(spec.socket, ground.router_group)
        streams = {0: nothing, 1: output, 2: output, LISTENER: held.listener.fileno()}
        launched = launch(ground, spec.box, namespace, relay.relay(ground.relay, spec.port), streams)
    finally:
        os.close(output)
        os.close(nothing)
    try:
        if ground.groups is not None:
            ground.groups.add(spec.id, launched.pid)
        held.record = replace(held.record, relay=(launched.pid, start_ticks(launched.pid)))
        save(held.folder, held.record)
        launched.release(relay_options(ground))
    except OSError as error:
        raise EngineError("The relay could not be started.", details=str(error), resolution="It is tried again.") from error
    finally:
        launched.abandon()
    held.relay = Process(*held.record.relay)


def relay_options(ground: Ground) -> bytes:
    """The relay's own sandbox: it sees the host's programs, nothing else, and is process 1 so that socket activation can name it."""
    mounts: list[str] = [*bwrap.bind("/usr", "/usr"), *bwrap.bind(str(ground.base.etc), "/etc")]
    for target, link in ground.base.links:
        mounts += ("--symlink", target, link)
    for path in ground.base.folders:
        mounts += bwrap.bind(path, path)
    return bwrap.encode(
        (
            *common(own_network=False, hostname="relay"),
            "--as-pid-1",
            *mounts,
            *("--proc", "/proc", "--dev", "/dev"),
            *bwrap.sealed(),
            *bwrap.environment(relay.ENVIRONMENT),
            *confined(ground, status=False),
        )
    )
