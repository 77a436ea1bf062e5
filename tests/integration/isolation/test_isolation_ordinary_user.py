"""Without root: sandboxes work in user namespaces, and the engine says plainly what is weaker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import traceback
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.processes import Listen
from sitewright.engines.base import EngineInfo, Exit, InstanceSpec, JobSpec, Mount, Sandboxed
from sitewright.engines.sandbox import SandboxEngine
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.engine_lab import LISTENS, SMALL, get, until
from sitewright.testing.sandbox_lab import install_tools

ORDINARY = 2_000_000_000 + os.getpid()
"""A uid that is nobody's, not even another run's of this test: all its processes are killed in the end."""


async def live_a_little(home: Path) -> dict[str, object]:
    """As whoever we are: a job, a web instance that a second engine object takes over, a command beside it."""
    settings = Settings(home=home / "home", run=home / "run")
    folder = settings.home / "app"
    folder.mkdir(parents=True)
    output: dict[str, bytes] = {}

    def sink(name: str, data: bytes) -> None:
        output[name] = output.get(name, b"") + data

    async def opened() -> tuple[SandboxEngine, EngineInfo]:
        engine = SandboxEngine(settings, SystemRunner(), SystemClock())
        return engine, await engine.open(sink)

    engine, info = await opened()
    box = Sandboxed(os.getuid(), "id -u; ls /root /home", (), (Mount(folder, "/app", writable=True),), SMALL)
    job = await engine.run(JobSpec("job", box, 30))
    web = Sandboxed(os.getuid(), LISTENS[Listen.PORT], (), box.mounts, SMALL)
    spec = InstanceSpec("web", "c", "s", "web", "d", "r", web, Listen.PORT, settings.paths.instance_socket("web"))
    await engine.start(spec)
    await engine.close()
    engine, _ = await opened()

    async def listens() -> bool:
        return await engine.listening("web")

    await until(listens, f"it listens; it wrote {output}, and is seen as {await engine.observe()}")

    async def answers() -> int:
        return await asyncio.to_thread(get, spec.socket)

    status = await until(answers, f"it answers; it wrote {output}")
    session = await engine.exec("web", ("/bin/sh", "-c", "grep -E 'CapEff|^Seccomp:' /proc/self/status"), None)
    seen = b""
    while piece := await session.read():
        seen += piece
    await engine.stop("web", 5)
    (observed,) = await engine.observe()
    await engine.remove("web")
    await engine.close()
    return {
        "weaker": [capability.name for capability in info.capabilities if not capability.ok],
        "job": [job.exit.code, output["job"].decode()],
        "status": status,
        "said": output.get("web", b"").decode(),
        "session": seen.decode().split(),
        "ended": observed.exit == Exit(143),
    }


def as_ordinary_user(home: Path) -> dict[str, object]:
    """What ``live_a_little`` answers in a child process without privileges."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ORDINARY)
            os.setuid(ORDINARY)
            os.environ["HOME"] = str(home)
            answer = asyncio.run(live_a_little(home))
        except BaseException:
            answer = {"error": traceback.format_exc()}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    return dict(answer)


def test_an_ordinary_users_sandboxes_work_and_say_what_is_weaker() -> None:
    install_tools()
    home = Path(tempfile.mkdtemp(prefix="sw-"))
    try:
        os.chown(home, ORDINARY, ORDINARY)
        answer = as_ordinary_user(home)
    finally:
        subprocess.run(["pkill", "-KILL", "-U", str(ORDINARY)], check=False)
        shutil.rmtree(home)
    assert "error" not in answer, answer.get("error")
    assert {"separate users", "limits", "freezing idle sites"} <= set(answer["weaker"])  # type: ignore[call-overload]
    code, output = answer["job"]  # type: ignore[misc]
    assert code != 0
    assert output.startswith("1000\n")
    assert answer["status"] == 200, answer["said"]
    assert answer["session"] == ["CapEff:", "0" * 16, "Seccomp:", "2"]
    assert answer["ended"]
