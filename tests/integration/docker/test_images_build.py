"""Dockerfiles and images of a registry, from the builder to a container that answers."""

import asyncio
import io
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from sitewright.builder.collect import Needs
from sitewright.builder.service import Builder
from sitewright.bus.messages import BuildRequest, BuildStatus, ImageSource
from sitewright.commands.docker_config import JOB_LABEL
from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import ProcessScale
from sitewright.domain.release import Release
from sitewright.domain.states import BuildState
from sitewright.engines.docker import DockerEngine
from sitewright.orchestrator.model import Wanted
from sitewright.orchestrator.specs import instance_spec
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.dockerd import Dockerd
from sitewright.testing.registry import HOST, Registry, running_registry
from sitewright.testing.waiting import eventually
from sitewright.testing.workbench import ALICE_SITE, Workbench, archive_of

OS_RELEASE = 'PRETTY_NAME="Small"\nID=debian\n'
DPKG = """Package: libc6
Status: install ok installed
Version: 2.36-9
Architecture: amd64

Package: gone
Status: deinstall ok config-files
Version: 1
"""
DOCKERFILE = f"""# A comment
ARG VERSION=1
FROM {HOST}/small:${{VERSION}} AS base
ARG GREETING=hello
COPY index.html \\
  # in between
  /www/index.html
RUN echo "$GREETING from the image" >> /www/index.html \\
 && id -u > /www/builder.txt

FROM base
EXPOSE 8090
VOLUME /var/cache
HEALTHCHECK CMD true
CMD ["httpd", "-f", "-p", "8090", "-h", "/www"]
"""


@pytest.fixture(scope="session")
def registry(dockerd: Dockerd) -> Iterator[Registry]:
    with running_registry(dockerd) as running:
        running.push("small:1", {"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": DPKG})
        yield running


@dataclass
class Bench(Workbench):
    """A builder on the docker engine."""

    engine: DockerEngine  # type: ignore[assignment]

    async def image(self, files: Mapping[str, str], seconds: float = 60, **more: object) -> BuildStatus:
        return await self.build(self.request(self.upload(archive_of(files)), **more), seconds)

    async def reopen(self) -> None:
        self.engine = DockerEngine(self.settings, SystemClock())
        builder = self.again()
        await self.engine.open(lambda job, data: builder.feed(job, data) and None)
        await builder.open()


@pytest.fixture
async def bench(dockerd: Dockerd, registry: Registry) -> AsyncIterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="sw-t-"))
    folder.chmod(0o711)
    settings = Settings(
        home=folder / "home", run=folder / "run", engine="docker", docker_host=dockerd.host, image_registries=f"{HOST},docker.io"
    )
    engine = DockerEngine(settings, SystemClock())
    reports: list[BuildStatus] = []

    async def notify(status: BuildStatus) -> None:
        reports.append(status)

    builder = Builder(settings, engine, SystemClock(), SystemRunner(), notify)
    bench = Bench(settings, engine, builder, reports)
    await engine.open(lambda job, data: bench.builder.feed(job, data) and None)
    for needed in (settings.paths.sites, settings.paths.node):
        needed.mkdir(parents=True, exist_ok=True)
    await builder.open()
    yield bench
    await bench.builder.close()
    for seen in await bench.engine.observe():
        await bench.engine.stop(seen.spec.id, 0)
        await bench.engine.remove(seen.spec.id)
    await bench.engine.images.remove_images(frozenset())
    await bench.engine.close()
    shutil.rmtree(folder)


def desired_of(status: BuildStatus) -> DesiredChannel:
    assert status.blueprint is not None
    release = Release("rel222222222", 1, status.droplet, status.blueprint)
    return DesiredChannel(
        channel_id="chan22222222",
        site_id=ALICE_SITE,
        site_name="site",
        number=1,
        channel="production",
        generation=1,
        hosts=("site.localhost",),
        release=release,
    )


async def answers(bench: Bench, status: BuildStatus, path: str = "/") -> str:
    """Start the release's web process, ask it once, and return the answer's text."""
    desired = desired_of(status)
    await bench.builder.ensure_release(desired)
    web = desired.release.blueprint.process("web")
    spec = instance_spec(bench.settings, desired, Wanted(web, ProcessScale("web", limits=Limits()), "digest"), new_id(), 0)
    await bench.engine.start(spec)

    async def listening() -> bool:
        return await bench.engine.listening(spec.id)

    await eventually(listening, 20)
    reader, writer = await asyncio.open_unix_connection(str(spec.socket))
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await bench.engine.stop(spec.id, 0)
    await bench.engine.remove(spec.id)
    return answer.decode()


async def containers(bench: Bench) -> list[str]:
    return [each["Id"] for each in await bench.engine._daemon.ask("GET", "containers/json", params={"all": "1"})]


async def test_a_dockerfile_without_pages_is_built_and_answers(bench: Bench) -> None:
    dockerfile = DOCKERFILE.replace("COPY index.html", "COPY page.txt")
    status = await bench.image({"Dockerfile": dockerfile, "page.txt": "Alice: "}, env=(("GREETING", "grüße"), ("OTHER", "x")))
    log = bench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert status.blueprint.port == 8090
    assert status.blueprint.image.startswith("sha256:")
    assert "VOLUME is not followed" in log
    assert "not as root" in log
    assert "Alice: grüße from the image" in await answers(bench, status)
    components = {each.name: each for each in (await bench.builder.artefacts(status.build_id)).components}
    assert components["libc6"].purl == "pkg:deb/debian/libc6@2.36-9?arch=amd64"
    assert "gone" not in components
    assert components[f"{HOST}/small"].digest.startswith("sha256:")
    assert await containers(bench) == []


async def test_an_image_of_a_registry_is_kept_by_its_digest_and_rolled_back_to_without_the_registry(
    bench: Bench, registry: Registry
) -> None:
    changes = ("EXPOSE 9000", 'CMD ["/bin/sh", "-c", "cd /www && exec httpd -f -p 9000"]')
    name = registry.push("app:latest", {"www/index.html": "first"}, changes)
    first = await bench.build(bench.request(ImageSource(reference=name)), 60)
    assert first.state is BuildState.SUCCEEDED, bench.log(first)
    registry.push("app:latest", {"www/index.html": "second"}, changes)
    second = await bench.build(bench.request(ImageSource(reference=name), release=2), 60)
    assert second.blueprint.image != first.blueprint.image
    assert "second" in await answers(bench, second)
    assert "first" in await answers(bench, first)


async def test_an_image_goes_with_the_last_droplet_that_names_it(bench: Bench) -> None:
    status = await bench.build(bench.request(ImageSource(reference=f"{HOST}/small:1")), 60)
    assert status.state is BuildState.FAILED  # it says not what it runs
    status = await bench.image({"Dockerfile": f'FROM {HOST}/small:1\nCMD ["sleep", "1000"]\n'})
    assert status.state is BuildState.SUCCEEDED, bench.log(status)
    await bench.builder.collect(Needs(frozenset({status.droplet}), frozenset({ALICE_SITE})))
    assert await bench.engine.images.image(status.blueprint.image) is not None
    (bench.settings.paths.droplets / status.droplet).unlink()
    await bench.builder.collect(Needs(frozenset(), frozenset()))
    assert await bench.engine.images.image(status.blueprint.image) is None


async def test_a_secret_is_neither_passed_to_the_build_nor_shown(bench: Bench) -> None:
    dockerfile = f'FROM {HOST}/small:1\nARG TOKEN=none\nRUN echo "token $TOKEN" > /token\nRUN cat /token\nCMD ["sleep", "9"]\n'
    status = await bench.image({"Dockerfile": dockerfile}, env=(("TOKEN", "hush-hush-secret"),), secrets=("TOKEN",))
    log = bench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert "token none" in log
    assert "Not passed to the build" in log
    assert "hush-hush" not in log


async def test_the_last_word_has_the_procfile_and_what_dockerignore_names_is_left_out(bench: Bench) -> None:
    files = {
        "Dockerfile": f"FROM {HOST}/small:1\nCOPY . /www\nEXPOSE 8091\n",
        "sitewright.toml": '[build]\ndockerfile = "Dockerfile"\n',
        "Procfile": "web: cd /www && ls -A > /tmp/index.html; exec httpd -f -p $PORT -h /tmp\n",
        ".dockerignore": "# not these\n*.env\nsecret\n**/sitewright.toml\n!kept.env\n",
        "production.env": "A=1",
        "kept.env": "B=1",
        "secret/deep/key": "k",
        "page.txt": "p",
    }
    status = await bench.image(files)
    assert status.state is BuildState.SUCCEEDED, bench.log(status)
    listing = (await answers(bench, status, "/index.html")).split("\r\n\r\n")[1].split()
    assert sorted(listing) == ["Dockerfile", "Procfile", "kept.env", "page.txt"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ADD http://169.254.169.254/latest/meta-data /x", "ADD takes files of the source only"),
        ('ADD ht"tp"://10.0.0.1/x /x', "ADD takes files of the source only"),
        ("ENV U=http://10.0.0.1/\nADD $U /x", "ADD takes files of the source only"),
        ("COPY --from=docker.io/library/alpine /etc /x", "no stage before"),
        ("RUN --mount=type=secret,id=x cat /run/secrets/x", "BuildKit"),
        ("LABEL sitewright.instance=x", "the platform's own"),
        ("FROM ghcr.io/other/image", "takes no images from ghcr.io"),
    ],
)
async def test_what_the_machine_would_fetch_or_do_for_it_is_refused_before_anything_runs(bench: Bench, line: str, said: str) -> None:
    status = await bench.image({"Dockerfile": f'FROM {HOST}/small:1\n{line}\nCMD ["sleep", "9"]\n'})
    assert status.state is BuildState.FAILED
    assert said in bench.log(status) + status.details


async def test_a_build_reaches_neither_the_registry_nor_private_addresses(bench: Bench) -> None:
    runs = (
        f"RUN ! wget -T 2 -q -O- http://{HOST}/v2/ && ! wget -T 2 -q -O- http://169.254.169.254/ && ! nc -w 2 198.18.0.1 22 && echo closed"
    )
    status = await bench.image({"Dockerfile": f'FROM {HOST}/small:1\n{runs}\nCMD ["sleep", "9"]\n'})
    assert status.state is BuildState.SUCCEEDED, bench.log(status)


async def test_links_out_of_the_source_lead_nowhere(bench: Bench) -> None:
    secret = bench.settings.home / "secret"
    secret.write_text("of the machine")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        content = f'FROM {HOST}/small:1\nCOPY leak /leak\nRUN cat /leak\nCMD ["sleep", "9"]\n'.encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("leak")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)[1:]
        tar.addfile(link)
    status = await bench.build(bench.request(bench.upload(packed.getvalue())), 60)
    assert status.state is BuildState.FAILED
    assert "of the machine" not in bench.log(status)


async def test_processes_without_end_are_held_and_memory_is_bounded(bench: Bench) -> None:
    bomb = (
        "RUN for i in 1 2 3 4 5 6 7 8; do (while true; do sleep 100 & done) 2>/dev/null & done; sleep 3; cat /proc/loadavg; echo survived"
    )
    request = bench.request(bench.upload(archive_of({"Dockerfile": f'FROM {HOST}/small:1\n{bomb}\nCMD ["sleep", "9"]\n'})))
    await bench.builder.start(request)

    async def bounded() -> bool:
        for identity in await containers(bench):
            seen = await bench.engine._daemon.find(f"containers/{identity}/json")
            if seen and seen["HostConfig"]["PidsLimit"] == 512 and seen["HostConfig"]["Memory"] > 0:
                return seen["HostConfig"]["NetworkMode"].startswith("sw-")
        return False

    await eventually(bounded, 20)
    await bench.builder.cancel(request.build_id)
    status = await bench.ended(request.build_id, 30)
    assert status.state is BuildState.CANCELLED
    await eventually(lambda: no_containers(bench), 20)


async def is_building(bench: Bench) -> bool:
    """Whether a command of a Dockerfile runs; the platform's own jobs are something else."""
    listed = await bench.engine._daemon.ask("GET", "containers/json")
    return any(JOB_LABEL not in each["Labels"] for each in listed)


async def no_containers(bench: Bench) -> bool:
    return await containers(bench) == []


async def test_a_build_that_is_cancelled_leaves_no_container(bench: Bench) -> None:
    request = bench.request(bench.upload(archive_of({"Dockerfile": f'FROM {HOST}/small:1\nRUN sleep 600\nCMD ["sleep", "9"]\n'})))
    await bench.builder.start(request)

    await eventually(lambda: is_building(bench), 30)
    await bench.builder.cancel(request.build_id)
    assert (await bench.ended(request.build_id, 20)).state is BuildState.CANCELLED
    await eventually(lambda: no_containers(bench), 20)


async def test_a_node_that_dies_in_the_middle_leaves_no_container_and_builds_again(bench: Bench) -> None:
    files = {"Dockerfile": f'FROM {HOST}/small:1\nRUN sleep 4\nCMD ["sleep", "9"]\n'}
    request: BuildRequest = bench.request(bench.upload(archive_of(files)))
    await bench.builder.close()
    await bench.engine.close()
    program = Path(__file__).with_name("builder_node.py")
    argv = [sys.executable, str(program), bench.settings.model_dump_json()]
    node = subprocess.Popen(argv, stdin=subprocess.PIPE)  # noqa: ASYNC220 - it is killed
    node.stdin.write(request.encode())
    node.stdin.close()

    await eventually(lambda: is_building(bench), 30)
    node.send_signal(signal.SIGKILL)
    node.wait()
    await eventually(lambda: no_containers(bench), 20)
    await bench.engine._daemon.close()
    await bench.reopen()
    status = await bench.ended(request.build_id, 60)
    assert status.state is BuildState.SUCCEEDED, bench.log(status)
    assert "begins again" in bench.log(status)
    await eventually(lambda: no_containers(bench), 20)


async def test_an_image_with_labels_of_ours_is_refused(bench: Bench, registry: Registry) -> None:
    name = registry.push("forged:1", {}, ('LABEL sitewright.instance="x"', 'CMD ["sleep", "9"]'))
    status = await bench.build(bench.request(ImageSource(reference=name)), 60)
    assert "labels that only this platform gives" in bench.log(status)


async def test_a_source_that_is_too_large_is_refused_before_the_daemon_sees_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitewright.builder.images.build.MAX_SOURCE_BYTES", 1_000_000)
    files = {"Dockerfile": f"FROM {HOST}/small:1\nCOPY . /x\n", "big": "0" * 2_000_000}
    status = await bench.image(files)
    assert ".dockerignore" in status.resolution


async def test_a_build_without_end_is_ended_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitewright.builder.apply.BUILD_TIMEOUT_SECONDS", 8.0)
    status = await bench.image({"Dockerfile": f"FROM {HOST}/small:1\nRUN while true; do true; done\n"})
    assert "took too long" in status.problem, bench.log(status)
    await eventually(lambda: no_containers(bench), 20)


async def test_a_command_that_writes_too_much_is_ended(bench: Bench) -> None:
    dockerfile = f"FROM {HOST}/small:1\nRUN dd if=/dev/zero of=/big bs=1M count=200; sleep 60\n"
    status = await bench.image({"Dockerfile": dockerfile}, quota_bytes=30_000_000)
    assert "larger than" in status.problem, bench.log(status)
    await eventually(lambda: no_containers(bench), 20)


async def test_a_command_that_eats_memory_is_killed(bench: Bench) -> None:
    dockerfile = f"FROM {HOST}/small:1\nRUN sh -c 'x=0; while true; do x=$x$x; done'\n"
    status = await bench.image({"Dockerfile": dockerfile}, seconds=90)
    assert status.state is BuildState.FAILED
    assert "returned a non-zero code" in status.details, bench.log(status)


async def test_a_live_site_is_no_image(bench: Bench) -> None:
    status = await bench.image({"Dockerfile": f"FROM {HOST}/small:1\n"}, mode="live")
    assert "A live site is a folder" in status.problem


async def test_a_build_that_calls_itself_an_instance_is_not_taken_for_one(bench: Bench) -> None:
    labels = f"LABEL $A.platform={bench.settings.paths.tag} $A.instance=abc222222222 $A.uid=0 $A.spec={{}}"
    dockerfile = f'FROM {HOST}/small:1\nENV A=sitewright\n{labels}\nRUN sleep 5\nCMD ["sleep", "9"]\n'
    request = bench.request(bench.upload(archive_of({"Dockerfile": dockerfile})))
    await bench.builder.start(request)

    async def forged() -> bool:
        listed = await bench.engine._daemon.ask("GET", "containers/json")
        return any(each["Labels"].get("sitewright.instance") for each in listed)

    await eventually(forged, 30)
    assert await bench.engine.observe() == ()
    status = await bench.ended(request.build_id, 60)
    assert "labels that only this platform gives" in status.problem
