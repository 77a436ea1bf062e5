"""Running a command to its end: a build, a release command. It dies with the engine; nothing of it is picked up again."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from dataclasses import dataclass

from sitewright.commands import bwrap
from sitewright.engines.base import Exit, JobResult, JobSpec, LogSink
from sitewright.engines.mounts import check_mounts
from sitewright.engines.sandbox.held import empty
from sitewright.engines.sandbox.launch import Ground, common, confined, launch
from sitewright.engines.sandbox.output import OutputReader, make_pipe_wide
from sitewright.engines.sandbox.rootfs import environment, file_system
from sitewright.engines.sandbox.spawn import Process
from sitewright.engines.sandbox.starting import encoded
from sitewright.engines.sandbox.userland import Barrier, connect, wanted
from sitewright.errors import EngineError
from sitewright.system.cgroups import JOB_PREFIX
from sitewright.system.clock import Clock


def group_of(job_id: str) -> str:
    """The name of a job's control group."""
    return f"{JOB_PREFIX}{job_id}"


def options(ground: Ground, job: JobSpec, *, network: bool, barrier: Barrier | None) -> bytes:
    """All of bubblewrap's options."""
    return encoded(
        (
            *common(own_network=not network, hostname="build"),
            "--die-with-parent",
            *file_system(ground.base, job.box, None, None),
            *bwrap.environment(environment(ground.base, job.box)),
            *confined(ground, status=False),
            *(barrier.options() if barrier else ()),
        )
    )


async def run_job(
    ground: Ground, job: JobSpec, namespace: str, sink: LogSink, clock: Clock, cancelled: Awaitable[None] | None
) -> JobResult:
    """Run it; whatever happens, when this returns no process of it is left. Raises EngineError when it cannot start."""
    check_mounts(job.box)
    began = clock.steady()
    name = group_of(job.id)
    barrier = Barrier.make() if wanted(ground, job.box) else None
    process, reader = _start(ground, job, namespace, barrier, OutputTo(sink, clock))
    try:
        slirp = await _let_go(ground, process, barrier)
    except BaseException:
        await asyncio.shield(_end(ground, name, process, reader))
        raise
    stop = asyncio.ensure_future(cancelled) if cancelled is not None else None
    ended = asyncio.ensure_future(process.ended.wait())
    try:
        await asyncio.wait({ended, *([stop] if stop else [])}, timeout=job.timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        own_end = ended.done()
        was_cancelled = not own_end and stop is not None and stop.done()
        out_of_memory = ground.groups is not None and ground.groups.oom_kills(name) > 0
    finally:
        ended.cancel()
        if stop is not None:
            stop.cancel()
        if slirp is not None:
            slirp.kill()
        await asyncio.shield(_end(ground, name, process, reader))
    code = process.code if process.code >= 0 else 137
    return JobResult(
        Exit(code, out_of_memory=out_of_memory and code != 0),
        clock.steady() - began,
        timed_out=not own_end and not was_cancelled,
        cancelled=was_cancelled,
    )


@dataclass(frozen=True, slots=True)
class OutputTo:
    """Where output goes and by which clock it is limited."""

    sink: LogSink
    clock: Clock


async def _let_go(ground: Ground, process: Process, barrier: Barrier | None) -> Process | None:
    """For an ordinary user: the network first, then the command. Raises EngineError."""
    if barrier is None:
        return None
    try:
        slirp = Process.started(await connect(ground, process.pid))
        barrier.lift()
    except BaseException:
        process.kill()
        raise
    finally:
        barrier.close()
    return slirp


def _start(ground: Ground, job: JobSpec, namespace: str, barrier: Barrier | None, to: OutputTo) -> tuple[Process, OutputReader]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    make_pipe_wide(reading)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ground.groups is not None:
            ground.groups.create(group_of(job.id), job.box.limits)
        launched = launch(
            ground,
            job.box,
            namespace,
            ("/bin/sh", "-c", job.box.command),
            {0: nothing, 1: writing, 2: writing, **(barrier.descriptors() if barrier else {})},
        )
        process = Process.started(launched.pid)
        try:
            if ground.groups is not None:
                ground.groups.add(group_of(job.id), launched.pid)
            launched.release(options(ground, job, network=bool(namespace), barrier=barrier))
        except BaseException:
            launched.abandon()
            process.kill()
            raise
    except OSError as error:
        os.close(reading)
        raise EngineError("The job could not be started.", details=str(error), resolution="It is tried again.") from error
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(nothing)
    return process, OutputReader(job.id, reading, job.box.limits.log_bytes_per_second, to.sink, to.clock)


async def _end(ground: Ground, name: str, process: Process, reader: OutputReader) -> None:
    process.kill()
    if ground.groups is not None:
        await empty(ground.groups, name)
    await process.ended.wait()
    reader.drain()
    reader.close()
    if ground.groups is not None:
        with contextlib.suppress(OSError):
            ground.groups.remove(name)
