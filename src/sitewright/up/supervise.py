"""The light supervisor: starts the processes of a plan, starts them again when they die, replaces them, and stops them all in order.

It stays for as long as the platform runs, so it imports a handful of modules of the standard library and nothing else (about 9 MB).
Run as ``python -I -S supervise.py <plan.json>``; the plan is what ``sitewright.up.processes`` made. Ctrl-C and TERM stop everything; HUP
replaces everything, this program first, without a failed request; the HUP of a terminal that was closed stops everything, too.
A second Ctrl-C kills what has not ended yet. Exit code: 0 when it was asked to stop, else what the presenter ended with.
"""

# pathlib would cost this process a megabyte for its whole life.
# ruff: noqa: PTH104, PTH106, PTH108, PTH120, PTH123

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

if __name__ == "__main__":
    # As a script, and without site-packages: the parts of this program are found last, after the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100

from sitewright.up import listening
from sitewright.up.children import Child, in_words, signal_child, spawn, start_ticks
from sitewright.up.replacing import Replacing

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ROTATE_BYTES = 10 * 1024 * 1024
CHORES_SECONDS = 30.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def has_children(group: int) -> bool:
    """Whether anybody of that process group is a child of this process, as orphans become."""
    try:
        os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


LEAVE_SECONDS = 2.0


def leave_groups(folders: list[str]) -> None:
    """Step out of the platform's control groups, and remove those that nobody is in any more."""
    for folder in folders:
        with contextlib.suppress(OSError), open(f"{os.path.dirname(folder)}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
        # Whoever has just been killed is in its group for a moment still.
        deadline = time.monotonic() + LEAVE_SECONDS
        while not removed(folder) and time.monotonic() < deadline:
            time.sleep(0.02)


def removed(folder: str) -> bool:
    """Whether the control group is gone now."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def rotate(folder: str, limit: int = ROTATE_BYTES) -> None:
    """Move the contents of logs over *limit* bytes to `<name>.1`. Writers append, so they go on at the new beginning."""
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if entry.name.endswith(".log") and entry.is_file(follow_symlinks=False)]
    for path in names:
        source = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            size = os.fstat(source).st_size
            if size <= limit:
                continue
            target = os.open(f"{path}.1", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
            position = 0
            while position < size and (sent := os.sendfile(target, source, position, size - position)):
                position += sent
            os.close(target)
            os.ftruncate(source, 0)
        finally:
            os.close(source)


class Supervisor:
    """The loop over children and signals. ``state`` is what an earlier run of this program in this process has left: see ``again``."""

    def __init__(self, plan: dict[str, object], plan_file: str = "", state: dict[str, object] | None = None) -> None:
        self.plan = plan
        self.plan_file = plan_file
        self.folder = str(plan["folder"])
        self.logs = str(plan["logs"])
        self.presenter = 0 if state else int(str(plan.get("presenter", 0)))
        self.stages: list[list[str]] = plan["stages"]  # type: ignore[assignment]
        self.teardown: dict[str, object] | None = plan.get("teardown")  # type: ignore[assignment]
        self.groups: list[str] = plan.get("groups", [])  # type: ignore[assignment]
        self.children = {str(spec["name"]): Child(spec) for spec in plan["processes"]}  # type: ignore[attr-defined]
        self.leaving: dict[int, tuple[Child, float]] = {}
        """Processes whose place another one has taken, and when they are killed."""
        self.orphans: dict[int, float] = {}
        """Groups whose leader was killed, and when the rest of them is."""
        self.sockets: dict[str, int] = (state or {}).get("sockets", {})  # type: ignore[assignment]
        self.terminal = bool((state or {}).get("terminal", os.isatty(1)))
        self.exit_code = 0
        self.stopping = False
        self.hurry = False
        self.replace = bool(state)
        """Whether all parts are to be replaced. The first thing to be replaced is this program."""
        self.wakeup, self._wakeup_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.chores = time.monotonic() + CHORES_SECONDS

    def say(self, text: str) -> None:
        """A line on the terminal, if it is still there."""
        with contextlib.suppress(OSError):
            os.write(1, f"{text}\n".encode())

    def listen(self) -> None:
        """Turn signals into bytes on a pipe, so that none is lost between two looks."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    def open_sockets(self) -> None:
        """Make the listening sockets that are not there yet. Raises OSError."""
        specs: list[dict[str, object]] = self.plan.get("sockets", [])  # type: ignore[assignment]
        self.sockets = listening.complete(specs, self.sockets)

    def record(self, name: str, pid: int) -> None:
        """Note who runs, as `<pid> <start ticks>` in `<name>.pid`, for `status`, `down` and the next `up`; pid 0 removes the note."""
        path = f"{self.folder}/{name}.pid"
        if not pid:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        self.write(path, f"{pid} {start_ticks(pid)}\n")

    def write(self, path: str, text: str) -> None:
        """Replace a small file that everybody may read."""
        descriptor = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.rename(f"{path}.tmp", path)

    def adopt(self) -> None:
        """Take on what an earlier run of this program in this process has started."""
        for entry in sorted(name for name in os.listdir(self.folder) if name.endswith(".pid")):  # noqa: PTH208
            try:
                with open(f"{self.folder}/{entry}") as file:
                    pid, ticks = (int(word) for word in file.read().split())
            except (OSError, ValueError):
                continue
            name, _, old = entry.removesuffix(".pid").partition(".old.")
            if name == "supervisor" or start_ticks(pid) != ticks:
                continue
            if name in self.children and not old:
                self.children[name].adopt(pid)
            elif name in self.children:
                self.leave(self.children[name], pid)
            else:
                signal_child(pid, signal.SIGTERM)  # a part that this version does not have

    def start(self, child: Child) -> None:
        """Start it now."""
        child.forget_ready()
        child.ready, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        child.pid = spawn(child.spec, f"{self.logs}/{child.name}.log", self.sockets, write)
        os.close(write)
        child.asked = False
        child.started_at = time.monotonic()
        self.record(child.name, child.pid)

    def leave(self, child: Child, pid: int) -> None:
        """The process gives way to another of its name: ask it to end what it has begun, and note it until it is gone."""
        self.record(f"{child.name}.old.{pid}", pid)
        self.leaving[pid] = (child, time.monotonic() + child.number("leave_seconds", 10.0))
        signal_child(pid, int(child.number("leave_signal", signal.SIGTERM)))

    def reap(self) -> None:
        """Collect everything that ended, orphans included, and note when to start what again."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                self.orphans = {group: deadline for group, deadline in self.orphans.items() if has_children(group)}
                return
            if pid == self.presenter:
                self.presenter = 0
                code = os.waitstatus_to_exitcode(status)
                if code > 0 and not self.stopping:
                    self.exit_code, self.stopping = code, True
                continue
            if pid in self.leaving:
                self.gone(*self.leaving.pop(pid), pid)
                continue
            child = next((child for child in self.children.values() if child.pid == pid), None)
            if child is not None:
                self.ended(child, status)

    def gone(self, child: Child, _deadline: float, pid: int) -> None:
        """A process that had given way has ended."""
        if child.spec.get("group"):
            signal_child(pid, signal.SIGKILL, group=True)
        self.record(f"{child.name}.old.{pid}", 0)

    def ended(self, child: Child, status: int) -> None:
        """A child of the plan is gone: end what it left in its group and plan its return.

        Where a successor can be beside it, what it left ends what it has begun: nginx's workers finish their requests.
        """
        if "leave_signal" in child.spec and not child.asked and not self.stopping:
            signal_child(child.pid, int(child.number("leave_signal", signal.SIGTERM)), group=True)
            self.orphans[child.pid] = time.monotonic() + child.number("leave_seconds", 10.0)
        elif child.spec.get("group"):
            signal_child(child.pid, signal.SIGKILL, group=True)
        if child.asked:
            child.pid, child.due = 0, time.monotonic()
        else:
            delay = child.died(time.monotonic())
            if not self.stopping:
                again = "at once" if not delay else f"in {delay:.0f} s"
                self.say(f"sitewright: {child.name} {in_words(status)}; starting it again {again} (log: {self.logs}/{child.name}.log)")
        self.record(child.name, 0)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal or the time is up; take in what came."""
        with contextlib.suppress(InterruptedError):
            select.select([self.wakeup], [], [], max(seconds, 0.0))
        received = b""
        with contextlib.suppress(BlockingIOError):
            received = os.read(self.wakeup, 512)
        closed = signal.SIGHUP in received and self.terminal and not os.isatty(1)
        if closed or signal.SIGINT in received or signal.SIGTERM in received:
            self.hurry = self.stopping
            self.stopping = True
        elif signal.SIGHUP in received:
            self.replace = True
        self.reap()

    def turn(self, longest: float = CHORES_SECONDS, without: Child | None = None) -> None:
        """Start who is due (but *without* one that is being replaced), do the chores, sleep until there is something to do."""
        now = time.monotonic()
        waiting = [child for child in self.children.values() if not child.pid and child is not without]
        for child in [child for child in waiting if child.due <= now]:
            self.start(child)
        if now >= self.chores:
            self.chores = now + CHORES_SECONDS
            with contextlib.suppress(OSError):
                rotate(self.logs)
        for pid, (_, deadline) in self.leaving.items():
            if now >= deadline:
                signal_child(pid, signal.SIGKILL)
        for group in [group for group, deadline in self.orphans.items() if now >= deadline]:
            del self.orphans[group]
            signal_child(group, signal.SIGKILL, group=True)
        due = [child.due for child in self.children.values() if not child.pid and child is not without]
        late = [max(deadline, now + 1.0) for _, deadline in self.leaving.values()]
        self.wait(min([self.chores, now + longest, *due, *late]) - time.monotonic())

    def watch(self) -> None:
        """Run until asked to stop."""
        self.record("supervisor", os.getpid())
        if self.replace:
            self.replace = False
            Replacing(self).run()
        while not self.stopping:
            if self.replace:
                self.again()
            self.turn()

    def again(self) -> None:
        """Become the present version of this program, which then replaces the parts. Children, sockets and the lock stay; signals that
        come meanwhile are kept by the kernel. Returns when that cannot be."""
        self.replace = False
        if self.presenter:
            signal_child(self.presenter, signal.SIGKILL)
        try:
            with open(self.plan_file, encoding="utf-8") as file:
                argv = [str(word) for word in json.load(file)["again"]]
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            for descriptor in (*self.sockets.values(), int(str(self.plan.get("lock") or 0))):
                os.set_inheritable(descriptor, True)
            os.execv(argv[0], [*argv, json.dumps({"sockets": self.sockets, "terminal": self.terminal})])  # noqa: S606
        except (OSError, ValueError, LookupError) as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            self.say(f"sitewright: the supervisor could not be replaced and goes on as it is: {error}")
            Replacing(self).run()

    def await_end(self, pids: list[int], seconds: float) -> bool:
        """Whether all of them ended in time."""
        deadline = time.monotonic() + seconds
        while any(start_ticks(pid) for pid in pids):
            if time.monotonic() >= deadline or self.hurry:
                return False
            self.wait(min(deadline - time.monotonic(), 0.5))
        return True

    def stop_stage(self, names: list[str]) -> None:
        """Ask these children to end, then kill whoever is late."""
        children = [self.children[name] for name in names if self.children[name].pid]
        patience = max([float(str(child.spec["stop_seconds"])) for child in children], default=0.0)
        pids = [child.pid for child in children]
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, int(str(child.spec["stop_signal"])))
        if not self.await_end(pids, patience):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.hurry = False
            self.await_end(pids, 2.0)

    def run_teardown(self) -> None:
        """End what outlives the node process: instances and their networks."""
        if self.teardown is None:
            return
        pid = spawn(self.teardown, f"{self.logs}/teardown.log")
        if not self.await_end([pid], float(str(self.teardown["stop_seconds"]))):
            self.hurry = False
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.await_end([pid], 2.0)

    def stop(self) -> None:
        """Stop stage after stage; "teardown" among the stages ends the instances."""
        self.say("sitewright: stopping")
        if self.presenter:
            signal_child(self.presenter, signal.SIGKILL)
        for pid in self.leaving:
            signal_child(pid, signal.SIGTERM)
        for names in self.stages:
            if names == ["teardown"]:
                self.run_teardown()
            else:
                self.stop_stage(names)
        for group in self.orphans:
            signal_child(group, signal.SIGKILL, group=True)
        late = list(self.leaving)
        if late and not self.await_end(late, 2.0):
            for pid in late:
                signal_child(pid, signal.SIGKILL, group=True)
        for pid, (child, _) in self.leaving.items():
            self.record(f"{child.name}.old.{pid}", 0)
        listening.remove(self.plan.get("sockets", []))  # type: ignore[arg-type]
        self.record("supervisor", 0)
        leave_groups(self.groups)
        self.say("sitewright: stopped")


def main(arguments: list[str]) -> int:
    """Read the plan and supervise: <plan.json>, and after a replacement what the earlier run left, as JSON. With `--check` as second word
    only say, by ending with 0, that this program can be run here."""
    with open(arguments[0], encoding="utf-8") as file:
        plan = json.load(file)
    if arguments[1:] == ["--check"]:
        return 0
    state = json.loads(arguments[1]) if arguments[1:] else None
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if plan.get("lock"):
        os.set_inheritable(int(plan["lock"]), False)
    supervisor = Supervisor(plan, arguments[0], state)
    for descriptor in supervisor.sockets.values():
        os.set_inheritable(descriptor, False)
    if state is not None:
        supervisor.adopt()
    supervisor.listen()
    try:
        supervisor.open_sockets()
    except OSError as error:
        supervisor.say(f"sitewright: cannot listen: {error}")
        supervisor.stopping, supervisor.exit_code = True, 10
    supervisor.reap()
    supervisor.watch()
    supervisor.stop()
    return supervisor.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
