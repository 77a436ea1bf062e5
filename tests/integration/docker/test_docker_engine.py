"""What only the docker engine promises; what every engine promises is in the contract suite."""

import asyncio
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.commands.docker_egress import table_name
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec, JobSpec, Mount, Sandboxed, TerminalSize
from sitewright.engines.docker import DockerEngine
from sitewright.system.clock import SystemClock
from sitewright.testing.dockerd import Dockerd, must
from sitewright.testing.package_index import package_index_host, resolvers

ALICE, BOB = 1_300_001, 1_300_002
GUNICORN_STYLE = """
import os, socket
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept(); c.recv(4096); c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nhello from Alice"); c.close()
"""


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.text: defaultdict[str, bytes] = defaultdict(bytes)

    def __call__(self, identity: str, data: bytes) -> None:
        self.text[identity] += data

    async def until(self, identity: str, words: bytes) -> bytes:
        await until(lambda: words in self.text[identity], f"{words!r} was never said")
        return self.text[identity]


async def until(condition, problem: str, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


class Platform:
    """One engine on folders of its own, and what is needed to ask it for something."""

    def __init__(self, folder: Path, dockerd: Dockerd) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home", run=folder / "run", engine="docker", docker_host=dockerd.host)
        self.heard = Heard()
        self.engine = DockerEngine(self.settings, SystemClock())

    async def reopen(self) -> None:
        await self.engine.close()
        self.heard = Heard()
        self.engine = DockerEngine(self.settings, SystemClock())
        await self.engine.open(self.heard)

    def app(self, uid: int = ALICE, **files: str) -> Mount:
        tree = self.folder / f"app-{uid}"
        tree.mkdir(exist_ok=True)
        tree.chmod(0o755)
        for name, text in files.items():
            (tree / name.replace("_py", ".py")).write_text(text)
        os.chown(tree, uid, uid)
        return Mount(tree, "/app", writable=True)

    def box(self, command: str, uid: int = ALICE, **change) -> Sandboxed:
        box = Sandboxed(uid, command, (("GREETING", "grüß=dich"),), (self.app(uid),), Limits(memory_bytes=96 * 1024 * 1024))
        return replace(box, **change)

    def spec(self, command: str, listen: Listen = Listen.NONE, **change) -> InstanceSpec:
        identity = new_id()
        return InstanceSpec(
            id=identity,
            channel_id="channel",
            site_id="site",
            process="web",
            digest="d",
            release_id="r",
            box=self.box(command, **change),
            listen=listen,
            socket=self.settings.paths.instance_socket(identity),
        )

    async def state(self, spec: InstanceSpec):
        return {seen.spec.id: seen for seen in await self.engine.observe()}.get(spec.id)

    async def job(self, command: str, timeout: float = 30, **change):
        job = JobSpec(new_id(), self.box(command, **change), timeout)
        result = await self.engine.run(job)
        return result, self.heard.text[job.id]


@pytest.fixture
async def platform(dockerd: Dockerd) -> AsyncIterator[Platform]:
    folder = Path(tempfile.mkdtemp(prefix="sw-t-"))
    folder.chmod(0o711)
    platform = Platform(folder, dockerd)
    await platform.engine.open(platform.heard)
    yield platform
    for seen in await platform.engine.observe():
        await platform.engine.stop(seen.spec.id, 0)
        await platform.engine.remove(seen.spec.id)
    await platform.engine.close()
    shutil.rmtree(folder)


async def get(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_a_web_process_gets_the_listening_socket_as_descriptor_3(platform: Platform) -> None:
    spec = platform.spec("python3 web.py", Listen.FD)
    platform.app(web_py=GUNICORN_STYLE)
    await platform.engine.start(spec)
    assert b"hello from Alice" in await get(spec.socket)
    await platform.engine.stop(spec.id, 1)
    assert (await platform.state(spec)).exit.code == 143


async def test_an_app_that_knows_tcp_only_is_reached_through_a_relay(platform: Platform) -> None:
    spec = platform.spec("exec python3 -m http.server $PORT --bind 127.0.0.1", Listen.PORT)
    platform.app(index_html="", **{"index.html": "served over the relay"})
    await platform.engine.start(spec)
    await until(lambda: platform.engine.listening(spec.id), "never listened")
    assert b"served over the relay" in await get(spec.socket)


async def test_a_socket_that_the_app_makes_with_a_closed_umask_is_linked_for_the_router(platform: Platform) -> None:
    app = """
import os, socket
os.umask(0o077)
s = socket.socket(socket.AF_UNIX); s.bind(os.environ["SOCKET"]); s.listen()
while True:
    c, _ = s.accept()
    if c.recv(4096):
        c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nmy own socket")
    c.close()
"""
    spec = platform.spec("python3 own.py", Listen.SOCKET)
    platform.app(own_py=app)
    await platform.engine.start(spec)
    await until(lambda: platform.engine.listening(spec.id), "never listened")
    assert b"my own socket" in await get(spec.socket)
    assert spec.socket.stat().st_mode & 0o777 == 0o660


async def test_a_symlink_in_place_of_the_socket_does_not_steer_the_router(platform: Platform) -> None:
    spec = platform.spec("ln -s /run/sitewright/other $SOCKET; sleep 30", Listen.SOCKET)
    await platform.engine.start(spec)
    await until(lambda: os.path.lexists(spec.socket.parent / "g" / "in" / "web.sock"), "no symlink")
    assert not await platform.engine.listening(spec.id)
    assert not os.path.lexists(spec.socket.parent / "g" / "s")


async def test_a_new_engine_finds_the_spec_word_for_word_and_goes_on_with_the_log(platform: Platform) -> None:
    spec = platform.spec('echo one; while [ ! -e /app/go ]; do sleep 0.05; done; echo "two $GREETING"; sleep 60')
    await platform.engine.start(spec)
    await platform.heard.until(spec.id, b"one\n")
    await platform.reopen()
    assert (await platform.state(spec)).spec == replace(spec, box=(await platform.state(spec)).spec.box)
    (platform.folder / f"app-{ALICE}" / "go").touch()
    assert await platform.heard.until(spec.id, b"dich\n") == "two grüß=dich\n".encode()


async def test_memory_over_the_limit_is_told_as_such(platform: Platform) -> None:
    result, _ = await platform.job("python3 -c 'x = bytearray(300_000_000)'")
    assert result.exit.out_of_memory


async def test_a_job_that_takes_too_long_is_killed_with_everything_it_started(platform: Platform) -> None:
    result, said = await platform.job("echo begun; sleep 100 & sleep 100", timeout=1.5)
    assert result.timed_out
    assert said == b"begun\n"


async def test_a_terminal_knows_its_size_and_can_be_killed(platform: Platform) -> None:
    spec = platform.spec("sleep 60")
    await platform.engine.start(spec)
    session = await platform.engine.exec(spec.id, ("/bin/sh",), TerminalSize(33, 99))
    await session.write(b"stty size; (setsid sleep 70 &); echo rea''dy\n")
    said = b""
    async with asyncio.timeout(10):
        while b"ready" not in said:
            said += await session.read()
    assert b"33 99" in said
    await session.kill()
    assert (await session.wait()).code == 137


async def test_input_of_a_command_ends_when_it_is_closed(platform: Platform) -> None:
    spec = platform.spec("sleep 60")
    await platform.engine.start(spec)
    session = await platform.engine.exec(spec.id, ("cat",), None)
    await session.write(b"to and fro")
    await session.write(b"")
    said = b""
    async with asyncio.timeout(10):
        while chunk := await session.read():
            said += chunk
    assert said == b"to and fro"
    assert (await session.wait()).code == 0


async def test_the_internet_and_names_are_reachable_and_private_ranges_are_not(platform: Platform, dockerd: Dockerd) -> None:
    probe = (
        f"NAME, RESOLVER = {package_index_host()!r}, {resolvers()[0]!r}"
        + """
import socket
def tries(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return type(error).__name__
print("name", bool(socket.gethostbyname(NAME)))
gateway = [line.split()[2] for line in open("/proc/net/route") if line.split()[1] == "00000000"][0]
gateway = socket.inet_ntoa(bytes.fromhex(gateway)[::-1])
for host in (gateway, RESOLVER, "169.254.169.254", "192.168.1.1"):
    print(host == gateway and "gateway" or host, tries(host, 80))
"""
    )
    platform.app(probe_py=probe)
    result, said = await platform.job("python3 probe.py")
    lines = dict(line.split() for line in said.decode().splitlines())
    assert result.exit.code == 0, said
    assert lines.pop("name") == "True"
    assert "open" not in lines.values()


async def test_bob_does_not_reach_alices_instance(platform: Platform) -> None:
    spec = platform.spec("exec python3 -m http.server 8000", Listen.NONE)
    await platform.engine.start(spec)
    session = await platform.engine.exec(spec.id, ("hostname", "-I"), None)
    address = (await session.read()).split()[0].decode()
    connect = f"python3 -c 'import socket; socket.create_connection((\"{address}\", 8000), 3)'"
    for uid in (ALICE, BOB):
        result, said = await platform.job(connect, uid=uid)
        assert result.exit.code != 0, said


async def test_without_network_there_is_loopback_only(platform: Platform) -> None:
    result, said = await platform.job("ls /sys/class/net", network=False)
    assert result.exit.code == 0
    assert said == b"lo\n"


async def test_a_flood_costs_its_owner_lines_and_nobody_time(platform: Platform) -> None:
    spec = platform.spec("yes 'a line that says nothing at all'", Listen.NONE)
    await platform.engine.start(spec)
    await platform.heard.until(spec.id, b"lines dropped")
    await platform.engine.stop(spec.id, 0)
    assert len(platform.heard.text[spec.id]) < 512 * 1024


async def test_containers_of_others_are_never_listed_nor_touched(platform: Platform) -> None:
    stranger = Platform(platform.folder / "other", Dockerd(Path(platform.settings.docker_host.removeprefix("unix://")).parent, "", 0))
    stranger.folder.mkdir()
    await stranger.engine.open(stranger.heard)
    spec = stranger.spec("sleep 60")
    await stranger.engine.start(spec)
    await platform.reopen()
    assert await platform.engine.observe() == ()
    await platform.engine.stop(spec.id, 0)
    assert (await stranger.state(spec)).exit is None
    await stranger.engine.stop(spec.id, 0)
    await stranger.engine.remove(spec.id)
    await stranger.engine.close()


async def test_a_removed_instance_leaves_neither_folder_nor_network(platform: Platform, dockerd: Dockerd) -> None:
    spec = platform.spec("true")
    await platform.engine.start(spec)
    await until(lambda: ended(platform, spec), "never ended")
    await platform.engine.remove(spec.id)
    assert not spec.socket.parent.exists()
    networks = await platform.engine._daemon.ask("GET", "networks")
    assert not [network for network in networks if network["Name"].startswith(f"sw-{platform.settings.paths.tag}")]


async def ended(platform: Platform, spec: InstanceSpec) -> bool:
    return (await platform.state(spec)).exit is not None


async def test_a_setuid_program_gives_nothing_and_no_capability_is_left(platform: Platform) -> None:
    tree = platform.app().source
    shutil.copy("/usr/bin/id", tree / "id")
    os.chown(tree / "id", 0, 0)
    (tree / "id").chmod(0o6755)
    _, said = await platform.job("/app/id -u; grep -E 'Cap(Eff|Bnd|Prm)|NoNewPrivs|^Seccomp:' /proc/self/status")
    words = [line.split()[-1] for line in said.decode().splitlines()]
    assert words == [str(ALICE), *["0" * 16] * 3, "1", "2"]


async def test_the_last_engine_leaves_no_rules_behind(platform: Platform) -> None:
    spec = platform.spec("sleep 60")
    await platform.engine.start(spec)
    assert table_name(platform.settings.paths.tag) in tables(platform)
    await platform.reopen()
    assert table_name(platform.settings.paths.tag) in tables(platform)
    await platform.engine.dismantle()
    assert table_name(platform.settings.paths.tag) not in tables(platform)
    await platform.engine.open(platform.heard)


def tables(platform: Platform) -> str:
    pid = platform.engine._daemon.process()
    return must("nsenter", f"--net=/proc/{pid}/ns/net", "nft", "list", "tables")
