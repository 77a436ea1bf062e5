"""A sandbox made ahead is used for the very instance it was made for, knows nothing of the site's, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.engines.sandbox.record import Folder, load
from sitewright.engines.sandbox.spawn import start_ticks
from sitewright.testing.engine_lab import end, get, says, until
from sitewright.testing.warm_lab import FLASK_APP, GUNICORN, WarmLab, warm_lab

ROOM = Limits(memory_bytes=256 * MIB, pids=64)
PATH = (("PATH", "/app/.venv/bin:/usr/bin:/bin"), ("PYTHONDONTWRITEBYTECODE", "1"))
SECRET = ("SECRET", "of-the-site")


@pytest.fixture
async def lab() -> AsyncIterator[WarmLab]:
    async with warm_lab() as lab:
        yield lab


def web(lab: WarmLab, *, copy: bool = True) -> InstanceSpec:
    spec = lab.instance(GUNICORN, listen=Listen.FD, limits=ROOM, env=(*PATH, SECRET))
    return spec if copy else replace(spec, warm=())


async def answers(spec: InstanceSpec) -> None:
    async def answer() -> bool:
        return await asyncio.to_thread(get, spec.socket) == 200

    await until(answer, "it answers")


def processes(lab: WarmLab, spec: InstanceSpec) -> list[int]:
    """Everything in the instance's control group."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"/{spec.id}" in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill(lab: WarmLab, spec: InstanceSpec) -> None:
    """All of them (one's end may be the next one's), until they are dead, before the engine's loop hears of it."""
    killed = processes(lab, spec)
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(start_ticks(pid) for pid in killed):
        assert time.monotonic() < deadline, "the kernel ends them"
        time.sleep(0.01)


def first(lab: WarmLab, spec: InstanceSpec) -> int:
    record = load(Folder(lab.settings.paths.instances / spec.id))
    assert record is not None
    return record.main[0]


async def gone(lab: WarmLab, *specs: InstanceSpec) -> None:
    """Wait until no process, folder or control group of them is left."""

    async def nothing() -> bool:
        return not any(processes(lab, spec) or (lab.settings.paths.instances / spec.id).exists() for spec in specs)

    await until(nothing, "nothing is left of them")


@pytest.mark.parametrize("copy", [True, False])
async def test_what_waits_knows_nothing_of_the_sites_and_is_what_begins(lab: WarmLab, copy: bool) -> None:
    await asyncio.to_thread(lab.app)
    spec = web(lab, copy=copy)
    assert await lab.engine.prepare(spec)
    waiting = processes(lab, spec)
    assert waiting
    for pid in waiting:
        assert SECRET[1].encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        assert SECRET[1].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    await lab.engine.start(spec)
    assert first(lab, spec) in waiting
    await answers(spec)
    await end(lab, spec.id)
    await gone(lab, spec)


@pytest.mark.parametrize("copy", [True, False])
async def test_what_waits_has_no_privilege(lab: WarmLab, copy: bool) -> None:
    await asyncio.to_thread(lab.app)
    spec = web(lab, copy=copy)
    assert await lab.engine.prepare(spec)

    async def shells() -> list[int]:
        return [pid for pid in processes(lab, spec) if Path(f"/proc/{pid}/comm").read_text() == "sh\n"]

    (holder,) = await until(shells, "the sandbox stands")
    inside = Path(f"/proc/{holder}/ns/pid").readlink()
    same = [pid for pid in processes(lab, spec) if Path(f"/proc/{pid}/ns/pid").readlink() == inside]
    assert len(same) == (3 if copy else 2)
    for pid in same:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        assert status["Uid"].split() == [str(lab.uid(1))] * 4
        assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
        assert Path(f"/proc/{pid}/ns/user").readlink() == Path(f"/proc/{holder}/ns/user").readlink()
        assert Path(f"/proc/{pid}/ns/mnt").readlink() == Path(f"/proc/{holder}/ns/mnt").readlink()


async def test_files_that_were_changed_in_between_are_seen(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    spec = web(lab)
    assert await lab.engine.prepare(spec)
    (lab.folder / "app.py").write_text("import flask\nprint('FOUND', flask.CHANGED, flush=True)\n" + FLASK_APP)
    with (lab.folder / ".venv/lib/python3.11/site-packages/flask/__init__.py").open("a") as file:
        file.write("\nCHANGED = 'in between'\n")
    await lab.engine.start(spec)
    await says(lab, spec.id, b"FOUND in between")


async def test_a_folder_that_was_laid_out_anew_is_the_one_that_runs(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    spec = web(lab)
    assert await lab.engine.prepare(spec)
    waiting = processes(lab, spec)
    old = lab.folder.rename(lab.folder.with_name("old"))
    lab.folder.mkdir(mode=0o755)
    for entry in old.iterdir():
        entry.rename(lab.folder / entry.name)
    (lab.folder / "app.py").write_text("print('FOUND the new one', flush=True)\n" + FLASK_APP)
    await lab.engine.start(spec)
    await says(lab, spec.id, b"FOUND the new one")
    assert first(lab, spec) not in waiting


async def test_another_instance_of_the_same_id_is_begun_in_the_ordinary_way(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    spec = web(lab)
    assert await lab.engine.prepare(spec)
    waiting = processes(lab, spec)
    other = replace(spec, box=replace(spec.box, env=(*spec.box.env, ("MORE", "1"))))
    await lab.engine.start(other)
    assert first(lab, spec) not in waiting
    await answers(spec)
    assert [item.spec for item in await lab.engine.observe()] == [other]


@pytest.mark.parametrize("copy", [True, False])
async def test_who_died_while_it_waited_leaves_nothing_and_is_begun_in_the_ordinary_way(lab: WarmLab, copy: bool) -> None:
    await asyncio.to_thread(lab.app)
    one, other = web(lab, copy=copy), web(lab, copy=copy)
    assert await lab.engine.prepare(one)
    assert await lab.engine.prepare(other)
    kill(lab, one)
    await lab.engine.start(one)
    await answers(one)
    kill(lab, other)
    await gone(lab, other)
    assert lab.engine.prepared == frozenset()


@pytest.mark.parametrize("copy", [True, False])
async def test_what_is_discarded_or_left_by_an_engine_is_gone_whole(lab: WarmLab, copy: bool) -> None:
    await asyncio.to_thread(lab.app)
    one, other = web(lab, copy=copy), web(lab, copy=copy)
    assert await lab.engine.prepare(one)
    assert await lab.engine.prepare(other)
    await lab.engine.discard(one.id)
    await lab.engine.discard(one.id)
    await gone(lab, one)
    await lab.reopen()
    await gone(lab, one, other)
    assert await lab.engine.observe() == ()


async def test_one_that_waits_ends_when_nobody_holds_its_other_end(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    specs = web(lab), web(lab, copy=False)
    for spec in specs:
        assert await lab.engine.prepare(spec)
        made = lab.engine._prepared._made[spec.id]  # type: ignore[union-attr]
        if made.copy is not None:
            made.copy.close()
        else:
            os.close(made.script)
            made.script = -1
    await gone(lab, *specs)


async def test_an_app_that_takes_the_socket_itself_and_one_that_makes_its_own_begin_likewise(lab: WarmLab) -> None:
    (lab.folder / "app.js").write_text("require('node:http').createServer((q, a) => a.end('hello')).listen(process.env.PORT)")
    takes = replace(lab.instance("exec node app.js", listen=Listen.PORT, limits=ROOM), warm=(), adopts=True)
    assert await lab.engine.prepare(takes)
    waiting = processes(lab, takes)
    assert await lab.engine.start(takes)
    await answers(takes)
    assert first(lab, takes) in waiting
    behind_a_relay = replace(lab.instance("exec python3 -m http.server $PORT", listen=Listen.PORT, limits=ROOM), warm=())
    assert not await lab.engine.prepare(behind_a_relay)
    await lab.engine.start(behind_a_relay)


@pytest.mark.parametrize("value", ['it\'s "quoted" $HOME `id` \\ \n two lines', "ünï", ""])
async def test_whatever_a_variable_holds_arrives(lab: WarmLab, value: str) -> None:
    command = "exec python3 -c 'import os; print(ascii(os.environ[\"ODD\"]), flush=True); import time; time.sleep(600)'"
    spec = replace(lab.instance(command, env=(("ODD", value),)), warm=())
    assert await lab.engine.prepare(spec)
    waiting = processes(lab, spec)
    await lab.engine.start(spec)
    await says(lab, spec.id, ascii(value).encode())
    assert first(lab, spec) in waiting


@pytest.mark.parametrize("name", ["a.b-c", "IFS", "LC_ALL"])
async def test_a_variable_that_a_shell_may_not_hand_on_as_it_is_makes_an_ordinary_start(lab: WarmLab, name: str) -> None:
    spec = replace(lab.instance("echo BEGUN; exec sleep 600", env=((name, "odd"),)), warm=())
    assert not await lab.engine.prepare(spec)
    await lab.engine.start(spec)
    await says(lab, spec.id, b"BEGUN")
    await end(lab, spec.id)
    await gone(lab, spec)
