"""The contract suite of engines. A test module subclasses ``EngineContract`` (what every engine keeps, the in-memory one too) or
``RunningEngineContract`` (also what only real processes show) and gives a fixture ``lab``.

Commands are lines for /bin/sh; those that listen need python3 in the stack. Conditions are waited for with a deadline, never slept for.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import (
    Engine,
    EngineState,
    Exit,
    InstanceSpec,
    JobSpec,
    Observed,
    Stats,
    TerminalSize,
)
from sitewright.errors import EngineError

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
FOREVER = "exec sleep 600"
SMALL = Limits(memory_bytes=128 * MIB, pids=32)

LISTENS = {
    Listen.PORT: "exec python3 -m http.server $PORT",
    Listen.FD: (
        "exec python3 -c 'import socket, http.server as h\n"
        "class S(h.HTTPServer): address_family = socket.AF_UNIX\n"
        "s = S((), h.SimpleHTTPRequestHandler, bind_and_activate=False); s.socket = socket.socket(fileno=3)\n"
        'h.SimpleHTTPRequestHandler.address_string = lambda self: "router"\n'
        "s.serve_forever()'"
    ),
    Listen.SOCKET: (
        "exec python3 -c 'import os, socket, socketserver, http.server as h\n"
        'h.SimpleHTTPRequestHandler.address_string = lambda self: "router"\n'
        "os.umask(0o77)\n"
        'socketserver.UnixStreamServer(os.environ["SOCKET"], h.SimpleHTTPRequestHandler).serve_forever()\''
    ),
}
"""A small HTTP server for each way of listening."""


class Lab(Protocol):
    """What a test module gives: an open engine and values that fit it."""

    engine: Engine
    output: dict[str, bytearray]
    """What the sink was given, by instance or job id."""
    folder: Path
    """A folder of the host that instances see, writable, as /app."""

    def instance(
        self, command: str = FOREVER, *, listen: Listen = Listen.NONE, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = ()
    ) -> InstanceSpec:
        """A spec with an id of its own."""
        ...

    def job(self, command: str, *, timeout: float = DEADLINE_SECONDS, limits: Limits = SMALL) -> JobSpec:
        """A job with an id of its own."""
        ...

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Engine:
        """Close the engine, let *meanwhile* happen, and open a new object on the same run folder; it is ``engine`` from now on."""
        ...


async def until(condition: Callable[[], Awaitable[T]], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Ask until the answer is true; it. Fails with *what* when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"did not happen in {seconds:.0f} s: {what}"
        await asyncio.sleep(0.01)


async def seen(engine: Engine, instance_id: str) -> Observed | None:
    """What the engine observes of that instance."""
    return next((each for each in await engine.observe() if each.spec.id == instance_id), None)


async def exit_of(lab: Lab, instance_id: str) -> Exit:
    """Wait until it has ended; how."""

    async def ended() -> Exit | None:
        found = await seen(lab.engine, instance_id)
        return found.exit if found is not None and found.state is EngineState.EXITED else None

    result = await until(ended, f"{instance_id} ends; it wrote {bytes(lab.output.get(instance_id, b''))!r}")
    assert result is not None
    return result


async def says(lab: Lab, name: str, text: bytes) -> None:
    """Wait until its output holds *text*."""

    async def said() -> bool:
        return text in lab.output.get(name, b"")

    await until(said, f"{name} writes {text!r}")


async def end(lab: Lab, instance_id: str) -> None:
    """Stop and forget it."""
    await lab.engine.stop(instance_id, 1)
    await lab.engine.remove(instance_id)


def get(path: Path, target: str = "/") -> int:
    """The status of an HTTP answer over the unix socket at *path*; 0 when nobody answers."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(path))
        connection.request("GET", target)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class EngineContract:
    """What every engine keeps."""

    async def test_what_was_started_is_observed_as_running(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert (found.spec, found.state, found.exit) == (spec, EngineState.RUNNING, None)
        assert found.started_at > 0

    async def test_started_twice_runs_once(self, lab: Lab) -> None:
        spec = lab.instance()
        await asyncio.gather(lab.engine.start(spec), lab.engine.start(spec))
        first = await seen(lab.engine, spec.id)
        await lab.engine.start(spec)
        assert await seen(lab.engine, spec.id) == first
        assert [each.spec.id for each in await lab.engine.observe()] == [spec.id]

    async def test_observe_is_ordered_by_id(self, lab: Lab) -> None:
        specs = [lab.instance() for _ in range(3)]
        await asyncio.gather(*(lab.engine.start(spec) for spec in specs))
        assert [each.spec.id for each in await lab.engine.observe()] == sorted(spec.id for spec in specs)

    async def test_a_stopped_one_stays_listed_as_exited_until_it_is_removed(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert found.state is EngineState.EXITED
        assert found.exit is not None
        await lab.engine.remove(spec.id)
        assert await lab.engine.observe() == ()

    async def test_stopping_and_removing_twice_or_unknown_ones_is_fine(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await asyncio.gather(lab.engine.stop(spec.id, 5), lab.engine.stop(spec.id, 5))
        await lab.engine.stop(spec.id, 5)
        await lab.engine.remove(spec.id)
        await lab.engine.remove(spec.id)
        await lab.engine.stop(new_id(), 1)

    async def test_a_running_one_cannot_be_removed(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        with pytest.raises(EngineError):
            await lab.engine.remove(spec.id)
        assert await seen(lab.engine, spec.id) is not None

    async def test_an_exited_one_is_not_started_again_under_its_id(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        await lab.engine.start(spec)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert found.state is EngineState.EXITED

    async def test_freezing_and_thawing_show_and_may_be_repeated(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        for _ in range(2):
            await lab.engine.freeze(spec.id)
            found = await seen(lab.engine, spec.id)
            assert found is not None
            assert found.state is EngineState.FROZEN
        for _ in range(2):
            await lab.engine.thaw(spec.id)
            found = await seen(lab.engine, spec.id)
            assert found is not None
            assert found.state is EngineState.RUNNING

    async def test_a_frozen_one_can_be_stopped(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.freeze(spec.id)
        await lab.engine.stop(spec.id, 5)
        assert (await exit_of(lab, spec.id)).code >= 0

    async def test_a_new_engine_object_finds_all_again(self, lab: Lab) -> None:
        running, frozen, ended = (lab.instance() for _ in range(3))
        for spec in (running, frozen, ended):
            await lab.engine.start(spec)
        await lab.engine.freeze(frozen.id)
        await lab.engine.stop(ended.id, 5)
        before = await lab.engine.observe()
        await lab.reopen()
        assert await lab.engine.observe() == before
        for spec in (running, frozen):
            await end(lab, spec.id)
        await lab.engine.remove(ended.id)
        assert await lab.engine.observe() == ()

    async def test_a_command_beside_one_that_does_not_run_is_refused(self, lab: Lab) -> None:
        spec = lab.instance()
        with pytest.raises(EngineError):
            await lab.engine.exec(spec.id, ("true",), None)
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        with pytest.raises(EngineError):
            await lab.engine.exec(spec.id, ("true",), None)

    async def test_what_is_unknown_or_exited_neither_listens_nor_uses_anything(self, lab: Lab) -> None:
        spec = lab.instance()
        assert not await lab.engine.listening(spec.id)
        assert await lab.engine.stats(spec.id) == Stats()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        assert not await lab.engine.listening(spec.id)
        assert await lab.engine.stats(spec.id) == Stats()

    async def test_a_job_cancelled_before_it_began_says_so(self, lab: Lab) -> None:
        gone = asyncio.Event()
        gone.set()

        async def cancelled() -> None:
            await gone.wait()

        assert (await lab.engine.run(lab.job("sleep 60"), cancelled())).cancelled


class RunningEngineContract(EngineContract):
    """What engines keep that run real processes."""

    @pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("not-a-command", 127)])
    async def test_the_exit_code_is_told(self, lab: Lab, command: str, code: int) -> None:
        spec = lab.instance(command)
        await lab.engine.start(spec)
        assert await exit_of(lab, spec.id) == Exit(code)

    async def test_an_end_that_nobody_watched_is_known_afterwards(self, lab: Lab) -> None:
        spec = lab.instance("while [ ! -e /app/go ]; do sleep 0.05; done; exit 9")
        await lab.engine.start(spec)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        pid = found.pid

        async def meanwhile() -> None:
            (lab.folder / "go").touch()

            async def over() -> bool:
                return pid == 0 or not Path(f"/proc/{pid}").exists()

            await until(over, "it ends by itself")

        await lab.reopen(meanwhile=meanwhile)
        assert await exit_of(lab, spec.id) == Exit(9)

    async def test_output_arrives_in_order_and_goes_on_after_a_restart_of_the_engine(self, lab: Lab) -> None:
        spec = lab.instance("echo one; echo two >&2; while [ ! -e /app/go ]; do sleep 0.05; done; echo three; sleep 600")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"one\ntwo\n")
        await lab.reopen()
        (lab.folder / "go").touch()
        await says(lab, spec.id, b"three\n")

    async def test_stop_lets_it_end_in_its_own_way(self, lab: Lab) -> None:
        spec = lab.instance("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        await lab.engine.stop(spec.id, 10)
        assert await exit_of(lab, spec.id) == Exit(0)
        await says(lab, spec.id, b"bye")

    async def test_who_ignores_the_stop_is_killed_after_the_grace_with_all_children(self, lab: Lab) -> None:
        spec = lab.instance("trap '' TERM; (while :; do sleep 0.1; done) & echo up; while :; do sleep 0.1; done")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        began = time.monotonic()
        await lab.engine.stop(spec.id, 0.5)
        assert 0.4 < time.monotonic() - began < 10
        assert (await exit_of(lab, spec.id)).code == 137
        assert await lab.engine.stats(spec.id) == Stats()

    async def test_a_frozen_one_does_nothing_and_goes_on_when_thawed(self, lab: Lab) -> None:
        spec = lab.instance("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"3\n")
        await lab.engine.freeze(spec.id)
        used = (await lab.engine.stats(spec.id)).cpu_seconds
        session_free = await lab.engine.run(lab.job("sleep 0.3"))
        assert session_free.exit == Exit(0)
        assert (await lab.engine.stats(spec.id)).cpu_seconds - used < 0.05
        await lab.engine.thaw(spec.id)
        written = len(lab.output[spec.id])

        async def more() -> bool:
            return len(lab.output[spec.id]) > written

        await until(more, "it writes on")

    async def test_too_much_memory_ends_it_and_is_named_as_the_reason(self, lab: Lab) -> None:
        spec = lab.instance("exec python3 -c 'x = b\"x\" * (512 << 20)'", limits=Limits(memory_bytes=64 * MIB))
        await lab.engine.start(spec)
        end_of = await exit_of(lab, spec.id)
        assert end_of == Exit(137, out_of_memory=True)
        assert "64 MB" in end_of.in_words(spec.box.limits)

    async def test_the_environment_is_what_the_box_says_and_port_is_set(self, lab: Lab) -> None:
        spec = lab.instance('echo "<$GREETING> <$PORT>"; exec sleep 600', env=(("GREETING", "two words, $quoted 'all' ways"),))
        await lab.engine.start(spec)
        await says(lab, spec.id, f"<two words, $quoted 'all' ways> <{spec.port}>".encode())

    @pytest.mark.parametrize("listen", [Listen.PORT, Listen.FD, Listen.SOCKET])
    async def test_a_web_process_answers_on_its_socket(self, lab: Lab, listen: Listen) -> None:
        spec = lab.instance(LISTENS[listen], listen=listen)
        await lab.engine.start(spec)

        async def listens() -> bool:
            return await lab.engine.listening(spec.id)

        await until(listens, "it listens")

        async def answers() -> bool:
            return await asyncio.to_thread(get, spec.socket) == 200

        await until(answers, f"it answers; it wrote {bytes(lab.output.get(spec.id, b''))!r}")
        await lab.engine.stop(spec.id, 2)
        assert not await lab.engine.listening(spec.id)

    async def test_an_app_that_never_listens_is_not_called_listening(self, lab: Lab) -> None:
        spec = lab.instance("echo up; exec sleep 600", listen=Listen.PORT)
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        assert not await lab.engine.listening(spec.id)

    async def test_a_flood_of_output_costs_its_owner_lines_and_says_so(self, lab: Lab) -> None:
        limits = Limits(memory_bytes=128 * MIB, log_bytes_per_second=8192)
        spec = lab.instance("exec yes a rather long line of nothing in particular", limits=limits)
        await lab.engine.start(spec)
        began = time.monotonic()
        await says(lab, spec.id, b"lines dropped")
        seconds = time.monotonic() - began + 1
        assert len(lab.output[spec.id]) < 8192 * (seconds + 20)

    async def test_stats_tell_what_it_uses(self, lab: Lab) -> None:
        spec = lab.instance('exec python3 -c \'x = b"x" * (20 << 20); print("up", flush=True); import time; time.sleep(600)\'')
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        used = await lab.engine.stats(spec.id)
        assert 20 * MIB < used.memory_bytes < 128 * MIB
        assert used.cpu_seconds > 0
        assert used.pids >= 1

    async def test_a_command_beside_it_sees_its_files_and_processes(self, lab: Lab) -> None:
        spec = lab.instance("echo hello > /tmp/note; echo up; exec sleep 600")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "cat /tmp/note; cat /proc/[0-9]*/comm; exit 5"), None)
        output = await _all_of(session.read)
        assert output.startswith(b"hello\n")
        assert b"sleep" in output
        assert await session.wait() == Exit(5)

    async def test_a_command_beside_it_takes_input_until_it_is_closed(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        session = await lab.engine.exec(spec.id, ("/bin/cat",), None)
        await session.write(b"abc")
        assert await session.read() == b"abc"
        await session.write(b"")
        assert await session.read() == b""
        assert await session.wait() == Exit(0)

    async def test_a_command_with_a_terminal_knows_its_size(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "stty size; read x; stty size"), TerminalSize(30, 100))
        first = await session.read()
        assert b"30 100" in first
        await session.resize(TerminalSize(40, 120))
        await session.write(b"\n")
        assert b"40 120" in await _all_of(session.read)
        assert await session.wait() == Exit(0)

    async def test_a_killed_command_is_gone_with_all_it_started_and_the_instance_goes_on(self, lab: Lab) -> None:
        spec = lab.instance("echo up; exec sleep 600")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        before = (await lab.engine.stats(spec.id)).pids
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "sleep 600 & echo up; sleep 600"), None)
        assert await session.read() == b"up\n"
        await session.kill()
        await session.kill()
        assert (await session.wait()).code != 0
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert found.state is EngineState.RUNNING

        async def as_before() -> bool:
            return (await lab.engine.stats(spec.id)).pids <= before

        await until(as_before, "its processes are gone")

    async def test_a_job_runs_to_its_end_with_its_output(self, lab: Lab) -> None:
        job = lab.job("echo made > /app/made; echo done; exit 3")
        result = await lab.engine.run(job)
        assert (result.exit, result.timed_out, result.cancelled) == (Exit(3), False, False)
        assert bytes(lab.output[job.id]) == b"done\n"
        assert (lab.folder / "made").read_text() == "made\n"

    async def test_a_job_that_takes_too_long_is_killed_whole(self, lab: Lab) -> None:
        job = lab.job("(sleep 2; touch /app/late) & sleep 600", timeout=0.5)
        result = await lab.engine.run(job)
        assert result.timed_out
        assert result.seconds < 20
        await lab.engine.run(lab.job("sleep 2.2"))
        assert not (lab.folder / "late").exists()

    async def test_a_running_job_can_be_cancelled(self, lab: Lab) -> None:
        job = lab.job("echo up; sleep 600")
        asked = asyncio.Event()

        async def cancelled() -> None:
            await asked.wait()

        running = asyncio.create_task(lab.engine.run(job, cancelled()))
        await says(lab, job.id, b"up")
        asked.set()
        assert (await running).cancelled

    async def test_a_job_that_needs_too_much_memory_says_so(self, lab: Lab) -> None:
        job = lab.job("python3 -c 'x = b\"x\" * (512 << 20)'", limits=Limits(memory_bytes=64 * MIB))
        result = await lab.engine.run(job)
        assert result.exit.out_of_memory
        assert result.exit.code != 0

    async def test_a_missing_folder_is_an_error_of_the_engine(self, lab: Lab) -> None:
        spec = lab.instance()
        lab.folder.rename(lab.folder.with_name("elsewhere"))
        try:
            with pytest.raises(EngineError):
                await lab.engine.start(spec)
            assert await lab.engine.observe() == ()
        finally:
            lab.folder.with_name("elsewhere").rename(lab.folder)


async def _all_of(read: Callable[[], Awaitable[bytes]]) -> bytes:
    output = b""
    while piece := await read():
        output += piece
    return output
