"""The end of a process is noticed by whoever did not start it."""

import asyncio
from dataclasses import replace

from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import EngineState, InstanceSpec, Observed, Sandboxed
from sitewright.orchestrator.watch import ExitWatch


def observed(pid, tmp_path):
    box = Sandboxed(uid=1, command="", env=(), mounts=(), limits=Limits())
    spec = InstanceSpec("alice2222222", "achanne22222", "asite2222222", "web", "digest", "release1", box, Listen.FD, tmp_path / "s")
    return Observed(spec, EngineState.RUNNING, 0.0, pid=pid)


async def test_the_end_of_a_process_wakes_the_channel(tmp_path):
    process = await asyncio.create_subprocess_exec("sleep", "60")
    ended = asyncio.Event()
    woken = []

    def wake(channel_id):
        woken.append(channel_id)
        ended.set()

    watch = ExitWatch(wake)
    item = observed(process.pid, tmp_path)
    watch.update([item])
    watch.update([item])
    process.kill()
    async with asyncio.timeout(5):
        await ended.wait()
    assert woken[0] == "achanne22222"
    await process.wait()
    watch.update([item])
    watch.update([replace(item, state=EngineState.EXITED)])
    watch.close()


async def test_a_process_that_is_gone_already_or_unknown_is_no_error(tmp_path):
    watch = ExitWatch(lambda _: None)
    watch.update([observed(2**22 - 1, tmp_path), observed(0, tmp_path)])
    watch.close()
