"""A real registry of container images for tests, on the loopback of a daemon's network namespace, and small images to put into it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sitewright.errors import PreflightError
from sitewright.system.processes import run_blocking
from sitewright.testing.dockerd import Dockerd

HOST = "127.0.0.1:5000"
START_SECONDS = 20.0
PACKAGES = ("docker-registry", "busybox", "curl")
_CONFIG = "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: '%s'}\n"
_APPLETS = ("sh", "cat", "echo", "ls", "mkdir", "id", "sleep", "httpd", "wget", "env", "touch", "dd", "true", "chmod", "nc", "readlink")
Files = Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Registry:
    """One that runs. Images are pushed with ``push`` and named `127.0.0.1:5000/…`."""

    dockerd: Dockerd

    def push(self, name: str, files: Files | None = None, changes: tuple[str, ...] = ()) -> str:
        """Put an image of busybox and *files* into it, with Dockerfile instructions as *changes*; its whole name."""
        reference = f"{HOST}/{name}"
        repository, _, tag = reference.rpartition(":")
        self._docker("POST", "images/create", {"fromSrc": "-", "repo": repository, "tag": tag}, image_tar(files or {}), changes)
        answer = self._docker("POST", f"images/{repository}/push", {"tag": tag}, b"")
        assert '"error"' not in answer, answer
        self._docker("DELETE", f"images/{reference}", {}, b"")
        return reference

    def _docker(self, method: str, path: str, params: Mapping[str, str], body: bytes, changes: tuple[str, ...] = ()) -> str:
        argv = ["curl", "-sS", "-G", "-X", method, "--unix-socket", self.dockerd.host.removeprefix("unix://")]
        for name, value in (*params.items(), *(("changes", change) for change in changes)):
            argv += ["--data-urlencode", f"{name}={value}"]
        query = run_blocking([*argv, "-w", "%{url_effective}", "-o", "/dev/null", "http://docker/_ping"], timeout=20).output.decode()
        address = f"http://docker/v1.40/{path}?{query.partition('?')[2]}"
        argv = ["curl", "-sS", "-X", method, "--unix-socket", self.dockerd.host.removeprefix("unix://"), "-H", "X-Registry-Auth: e30="]
        argv += ["--data-binary", "@-", "-H", "Content-Type: application/x-tar"] if body else []
        done = run_blocking([*argv, address], stdin=body, timeout=60)
        assert done.ok, done.errors.decode()
        return done.output.decode()


def image_tar(files: Files) -> bytes:
    """A root filesystem: busybox, and *files*."""
    busybox = shutil.which("busybox") or "/bin/busybox"
    needed = re.findall(r"(/\S+) \(0x", run_blocking(["ldd", busybox], timeout=10).output.decode())  # none when it is static
    programs = {"bin/busybox": Path(busybox).read_bytes(), **{path: Path(path).read_bytes() for path in needed}}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {**programs, **files}.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        for applet in _APPLETS:
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return buffer.getvalue()


def install_registry() -> None:
    """Install Debian's docker-registry when it is missing. Raises PreflightError."""
    if shutil.which("docker-registry") and shutil.which("busybox") and shutil.which("curl"):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_blocking(["apt-get", "update", "-qq"], env=environment, timeout=300)
    done = run_blocking(["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES], env=environment, timeout=300)
    if not done.ok:
        raise PreflightError("docker-registry could not be installed.", details=done.errors.decode()[-500:])


@contextlib.contextmanager
def running_registry(dockerd: Dockerd) -> Iterator[Registry]:
    """A registry for the length of the block, reachable for *dockerd* only."""
    install_registry()
    folder = Path(tempfile.mkdtemp(prefix="sw-registry-"))
    (folder / "config.yml").write_text(_CONFIG % (folder / "data", HOST))
    inside = ["nsenter", f"--net=/run/netns/{dockerd.namespace}"]
    argv = ["setpriv", "--pdeathsig", "KILL", *inside, "docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not run_blocking([*inside, "curl", "-sf", "-o", "/dev/null", f"http://{HOST}/v2/"], timeout=5).ok:
            problem = (folder / "log").read_text()
            assert process.poll() is None, problem
            assert time.monotonic() < deadline, problem
            time.sleep(0.05)
        yield Registry(dockerd)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
