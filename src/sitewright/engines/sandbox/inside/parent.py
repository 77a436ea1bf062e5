"""A warm parent: imports servers and frameworks once, then gives copies of itself to sandboxes. Stand-alone, see entering.py.

Descriptor 3 is the engine's socket. The first message is a list of modules; each later one brings a socket of its own, on which a copy
speaks with the engine. The end of the engine is the end of the parent; copies go on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sitewright.engines.sandbox.inside import entering, rehearsal, sameness, serving
else:
    import entering
    import rehearsal
    import sameness
    import serving

_MESSAGE = 256 * 1024
_SECONDS = 10.0


def warm_up(modules: list[str], user: int) -> sameness.Snapshot:
    """Import them as that user, who every site is inside; what is not there is left out."""
    missed = sameness.Missed()
    sys.meta_path.append(missed)
    os.setegid(user)
    os.seteuid(user)
    with sameness.watching_variables():
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception:
                continue
        rehearsal.rehearse()
        rehearsal.rehearse()
    os.seteuid(0)
    os.setegid(0)
    sys.meta_path.remove(missed)
    return sameness.take_snapshot(missed)


def receive(control: socket.socket) -> tuple[dict[str, object], list[int]]:
    """The engine's next message and its descriptors; what is made ahead waits here. Raises OSError, ValueError."""
    control.setblocking(True)
    head, descriptors, _, _ = socket.recv_fds(control, 4, 8)
    if not head:
        raise ConnectionError("the engine is gone")
    control.settimeout(_SECONDS)
    (length,) = struct.unpack("!I", head)
    text = bytearray()
    while len(text) < length:
        piece = control.recv(length - len(text))
        if not piece:
            raise ConnectionError("the engine is gone")
        text += piece
    return json.loads(text), descriptors


def tell(control: socket.socket, **values: object) -> None:
    """One line to the engine."""
    control.sendall(json.dumps(values).encode() + b"\n")


def first_process(told: int) -> int:
    """A descriptor of the sandbox's first process, as soon as bubblewrap has said which it is (--info-fd). Raises OSError, ValueError."""
    text = b""
    while b"}" not in text:
        piece = os.read(told, 4096)
        if not piece:
            raise ConnectionError("the sandbox did not come up")
        text += piece
    os.close(told)
    return os.pidfd_open(json.loads(text)["child-pid"])


def stand_by(control: socket.socket, snapshot: sameness.Snapshot) -> tuple[serving.Job, socket.socket] | None:
    """In the copy: say who one is, hear of the sandbox, begin the process inside. None in the copy itself once that has ended; in the
    process inside its job, and the socket on which it reports. Raises what goes wrong before that.

    The process inside is begun as soon as there is somebody whose child it can be; it gets ready while bubblewrap makes the rest. It is
    confined before it hears of its job: in a sandbox that was made ahead it waits for it, with nothing of the site's but its files.
    """
    tell(control, pid=os.getpid())
    asked, descriptors = receive(control)
    place = serving.Place(asked)
    holder, told, *streams = descriptors
    ready = socket.socket(fileno=holder)
    ready.settimeout(_SECONDS)
    # From here on files may be the tenant's: nothing may be imported before all privileges are gone.
    finders, sys.meta_path[:] = sys.meta_path[:], []
    sandbox = first_process(told)
    entering.limit(place.open_files)
    os.setgroups([])
    entering.join(sandbox, entering.NEW_PID)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        rehearsal.rehearse_begin()
        sameness.rehearse(snapshot)
        if not ready.recv(1):
            raise ConnectionError("the sandbox ended")
        confine(place, sandbox)
        os.write(writing, b"1")
        # Their numbers are about to be others' descriptors, which these objects must not close.
        ready.detach()
        entering.take_descriptors((*streams, control.detach()))
        os.set_inheritable(len(streams), False)
        control = socket.socket(fileno=len(streams))
        if place.ahead:
            sameness.rehearse(snapshot)
        job = serving.Job(receive(control)[0])
        entering.visible_to_own_user()
        sys.meta_path[:] = finders
        return job, control
    os.close(writing)
    if os.read(reading, 1) != b"1":
        raise ConnectionError("the process inside was not confined")
    tell(control, app=pid)
    entering.join(sandbox, entering.WORLD)
    entering.become(place.uid, place.uid)
    entering.filter_calls(place.filter)
    attend(pid, ready)
    return None


def confine(place: serving.Place, sandbox: int) -> None:
    """Become a process of the sandbox like any other, for good. Raises OSError."""
    entering.join(sandbox, entering.WORLD)
    entering.join(sandbox, entering.NEW_USER)
    entering.become(place.inside_uid, place.inside_uid)
    os.setsid()
    entering.usual_signals()
    entering.filter_calls(place.filter)
    os.chdir(place.workdir)


def attend(pid: int, ready: socket.socket) -> None:
    """Until the process inside ends; then tell the sandbox's first process how."""
    keep = os.dup2(ready.fileno(), 200)
    os.closerange(0, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(keep, b"%d\n" % (128 - status if status < 0 else status))


def copy(control: socket.socket, snapshot: sameness.Snapshot) -> None:
    """All that a copy does. Does not return, except by the server's own end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        given = stand_by(control, snapshot)
    except BaseException as error:
        try:
            tell(control, error=f"{type(error).__name__}: {error}")
        finally:
            os._exit(1)
    if given is None:
        os._exit(0)
    job, control = given
    try:
        script, same = serving.prepare(job, snapshot)
        with contextlib.suppress(OSError):  # who asked may have gone meanwhile, and this one stays
            tell(control, same=same)
        control.close()
    except BaseException:
        serving.ordinary(job)
        raise
    try:
        serving.serve(job, script)
    except Exception as error:
        # Two frames are ours: this one and serve.
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        trace = trace.tb_next if trace else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


def main() -> None:
    """Until the engine's socket ends."""
    engine = socket.socket(fileno=3)
    gc.disable()
    asked = json.loads(engine.recv(_MESSAGE))
    snapshot = warm_up(asked["modules"], asked["user"])
    sys.path_importer_cache.clear()  # each copy would have to
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    engine.send(json.dumps({"packages": snapshot.versions, "asked": sorted(snapshot.asked)}).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(engine, 16, 4)
        if not message:
            return
        control = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            engine.close()
            copy(control, snapshot)
            return
        control.close()


if __name__ == "__main__":
    main()
