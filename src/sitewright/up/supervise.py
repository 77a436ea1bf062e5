"""The light supervisor: starts the processes of a plan, starts them again when they die, and stops them all in order.

It stays for as long as the platform runs, so it imports a handful of modules of the standard library and nothing else (about 8 MB).
Run as ``python -I -S supervise.py <plan.json>``; the plan is what ``sitewright.up.processes`` made. Ctrl-C, TERM and HUP stop everything.
A second Ctrl-C kills what has not ended yet. Exit code: 0 when it was asked to stop, else what the presenter ended with.
"""

# pathlib would cost this process a megabyte for its whole life.
# ruff: noqa: PTH104, PTH106, PTH108, PTH120, PTH123

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ROTATE_BYTES = 10 * 1024 * 1024
CHORES_SECONDS = 30.0
GOOD_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 10.0


def restart_delay(failures: int) -> float:
    """Seconds to wait before the next start after the *failures*-th death in a row: at once, then 1, 2, 4, 8, 10, 10 …"""
    return 0.0 if failures <= 1 else min(2.0 ** (failures - 2), LONGEST_DELAY_SECONDS)


def start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since boot; 0 when it is gone or only waits to be reaped. With the pid it names a process
    for ever."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])


def in_words(status: int) -> str:
    """How a child ended, from waitpid's status."""
    code = os.waitstatus_to_exitcode(status)
    return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"


class Child:
    """One process of the plan and how it has been doing. Times are steady seconds."""

    def __init__(self, spec: dict[str, object]) -> None:
        self.spec = spec
        self.name = str(spec["name"])
        self.pid = 0
        self.started_at = 0.0
        self.failures = 0
        self.due = 0.0

    def died(self, now: float) -> float:
        """Note the death; the delay in seconds before the next start."""
        self.failures = 1 if now - self.started_at >= GOOD_SECONDS else self.failures + 1
        self.pid = 0
        delay = restart_delay(self.failures)
        self.due = now + delay
        return delay


def become(spec: dict[str, object]) -> None:
    """In the child, before exec: own session, default signals, the right user, folder and umask."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(0o022)
    os.chdir(str(spec["cwd"]))
    if os.geteuid() == 0 and spec["uid"]:
        os.initgroups(str(spec["user"]), int(str(spec["gid"])))
        os.setgid(int(str(spec["gid"])))
        os.setuid(int(str(spec["uid"])))


def spawn(spec: dict[str, object], log: str) -> int:
    """Start the process with its output appended to *log*; its pid. A failure to start is in the log and ends the child with 127."""
    argv = [str(word) for word in spec["argv"]]  # type: ignore[attr-defined]
    env: dict[str, str] = spec["env"]  # type: ignore[assignment]
    pid = os.fork()
    if pid:
        return pid
    try:
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        become(spec)
        os.execve(argv[0], argv, env)  # noqa: S606
    except BaseException as error:
        os.write(2, f"could not start {argv[0]}: {error}\n".encode())
    os._exit(127)


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


def leave_groups(folders: list[str]) -> None:
    """Step out of the platform's control groups, and remove those that nobody is in any more."""
    for folder in folders:
        with contextlib.suppress(OSError):
            with open(f"{os.path.dirname(folder)}/cgroup.procs", "w") as file:
                file.write(str(os.getpid()))
            os.rmdir(folder)


class Supervisor:
    """The loop over children and signals."""

    def __init__(self, plan: dict[str, object]) -> None:
        self.folder = str(plan["folder"])
        self.logs = str(plan["logs"])
        self.presenter = int(str(plan.get("presenter", 0)))
        self.stages: list[list[str]] = plan["stages"]  # type: ignore[assignment]
        self.groups: list[str] = plan.get("groups", [])  # type: ignore[assignment]
        self.teardown: dict[str, object] | None = plan.get("teardown")  # type: ignore[assignment]
        self.children = {str(spec["name"]): Child(spec) for spec in plan["processes"]}  # type: ignore[attr-defined]
        self.exit_code = 0
        self.stopping = False
        self.hurry = False
        self.wakeup, self._wakeup_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def say(self, text: str) -> None:
        """A line on the terminal, if it is still there."""
        with contextlib.suppress(OSError):
            os.write(1, f"{text}\n".encode())

    def listen(self) -> None:
        """Turn signals into bytes on a pipe, so that none is lost between two looks."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    def record(self, name: str, pid: int) -> None:
        """Note who runs, as `<pid> <start ticks>` in `<name>.pid`, for `status`, `down` and the next `up`; pid 0 removes the note."""
        path = f"{self.folder}/{name}.pid"
        if not pid:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        descriptor = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{pid} {start_ticks(pid)}\n")
        os.rename(f"{path}.tmp", path)

    def start(self, child: Child) -> None:
        """Start it now."""
        child.pid = spawn(child.spec, f"{self.logs}/{child.name}.log")
        child.started_at = time.monotonic()
        self.record(child.name, child.pid)

    def reap(self) -> None:
        """Collect everything that ended, orphans included, and note when to start what again."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.presenter:
                self.presenter = 0
                code = os.waitstatus_to_exitcode(status)
                if code > 0 and not self.stopping:
                    self.exit_code, self.stopping = code, True
                continue
            child = next((child for child in self.children.values() if child.pid == pid), None)
            if child is not None:
                self.ended(child, status)

    def ended(self, child: Child, status: int) -> None:
        """A child of the plan is gone: end what it left in its group and plan its return."""
        if child.spec.get("group"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
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
        if any(number in received for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            self.hurry = self.stopping
            self.stopping = True
        self.reap()

    def watch(self) -> None:
        """Run until asked to stop."""
        self.record("supervisor", os.getpid())
        chores = time.monotonic() + CHORES_SECONDS
        while not self.stopping:
            now = time.monotonic()
            waiting = [child for child in self.children.values() if not child.pid]
            for child in [child for child in waiting if child.due <= now]:
                self.start(child)
            if now >= chores:
                chores = now + CHORES_SECONDS
                with contextlib.suppress(OSError):
                    rotate(self.logs)
            due = [child.due for child in self.children.values() if not child.pid]
            self.wait(min([chores, *due]) - time.monotonic())

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
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.presenter, signal.SIGKILL)
        for names in self.stages:
            if names == ["teardown"]:
                self.run_teardown()
            else:
                self.stop_stage(names)
        self.record("supervisor", 0)
        leave_groups(self.groups)
        self.say("sitewright: stopped")


def main(arguments: list[str]) -> int:
    """Read the plan and supervise."""
    with open(arguments[0], encoding="utf-8") as file:
        plan = json.load(file)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if plan.get("lock"):
        os.set_inheritable(int(plan["lock"]), False)
    supervisor = Supervisor(plan)
    supervisor.listen()
    supervisor.reap()
    supervisor.watch()
    supervisor.stop()
    return supervisor.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
