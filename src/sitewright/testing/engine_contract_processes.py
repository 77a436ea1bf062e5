"""What engines keep about the processes of an instance: their end, output, limits, environment and sockets."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Exit, Stats
from sitewright.errors import EngineError
from sitewright.testing.engine_lab import LISTENS, Lab, exit_of, get, says, seen, until


class ProcessesContract:
    """What only real processes show."""

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

    async def test_a_missing_folder_is_an_error_of_the_engine(self, lab: Lab) -> None:
        spec = lab.instance()
        lab.folder.rename(lab.folder.with_name("elsewhere"))
        try:
            with pytest.raises(EngineError):
                await lab.engine.start(spec)
            assert await lab.engine.observe() == ()
        finally:
            lab.folder.with_name("elsewhere").rename(lab.folder)
