"""What engines keep about commands beside an instance and about jobs."""

from __future__ import annotations

import asyncio

from sitewright.domain.limits import MIB, Limits
from sitewright.engines.base import EngineState, Exit, TerminalSize
from sitewright.testing.engine_lab import Lab, everything, says, seen, until


class CommandsContract:
    """Commands that a person runs beside an instance, with and without a terminal."""

    async def test_a_command_beside_it_sees_its_files_and_processes(self, lab: Lab) -> None:
        spec = lab.instance("echo hello > /tmp/note; echo up; exec sleep 600")
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "cat /tmp/note; cat /proc/[0-9]*/comm; exit 5"), None)
        output = await everything(session.read)
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

    async def test_standard_error_may_be_apart_and_is_never_lost(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "echo out; echo err >&2; exit 3"), None, apart=True)
        output, errors = await asyncio.gather(everything(session.read), everything(session.read_error))
        assert sorted((output + errors).split()) == [b"err", b"out"]
        assert b"err" not in output or errors == b""
        assert await session.wait() == Exit(3)

    async def test_a_command_with_a_terminal_knows_its_size(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        session = await lab.engine.exec(spec.id, ("/bin/sh", "-c", "stty size; read x; stty size"), TerminalSize(30, 100))
        first = await session.read()
        assert b"30 100" in first
        await session.resize(TerminalSize(40, 120))
        await session.write(b"\n")
        assert b"40 120" in await everything(session.read)
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


class JobsContract:
    """Jobs: they run to their end, with a limit of time and memory, and can be cancelled."""

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


class ConversationsContract:
    """Jobs with their input and output in our hands."""

    async def test_a_conversation_takes_input_and_gives_output_and_error_apart(self, lab: Lab) -> None:
        job = lab.job("cat; echo bad >&2; exit 4")
        talk = await lab.engine.converse(job)
        await talk.write(b"\x00\xffabc")
        assert await talk.read() == b"\x00\xffabc"
        await talk.write(b"")
        output, error = await asyncio.gather(everything(talk.read), everything(talk.read_error))
        assert (output, error) == (b"", b"bad\n")
        assert await talk.wait() == Exit(4)
        assert job.id not in lab.output

    async def test_much_goes_through_a_conversation_unchanged(self, lab: Lab) -> None:
        talk = await lab.engine.converse(lab.job("exec cat"))
        data = bytes(range(256)) * 4096 * 4

        async def give() -> None:
            for start in range(0, len(data), 100_000):
                await talk.write(data[start : start + 100_000])
            await talk.write(b"")

        giving = asyncio.create_task(give())
        assert await everything(talk.read) == data
        await giving
        assert await talk.wait() == Exit(0)

    async def test_a_killed_conversation_is_gone_and_lets_go_whoever_reads_or_writes(self, lab: Lab) -> None:
        talk = await lab.engine.converse(lab.job("echo up; sleep 600 & sleep 600"))
        assert await talk.read() == b"up\n"
        reading = asyncio.create_task(talk.read())
        writing = asyncio.create_task(talk.write(b"x" * (4 << 20)))
        await talk.kill()
        await talk.kill()
        assert (await talk.wait()).code != 0
        assert await asyncio.wait_for(reading, 10) == b""
        await asyncio.wait_for(writing, 10)

    async def test_a_conversation_that_takes_too_long_is_ended(self, lab: Lab) -> None:
        talk = await lab.engine.converse(lab.job("exec sleep 600", timeout=0.5))
        assert (await asyncio.wait_for(talk.wait(), 20)).code != 0
        assert await everything(talk.read) == b""
