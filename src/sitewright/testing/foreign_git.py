"""A git server that is not ours, on a machine of its own as far as boxes can see: git over HTTP behind a password, and over SSH.

It runs in a network namespace, because nothing on this machine's own addresses can be reached from a box. Run as a program it is that
server: arguments are address, folder of keys.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, run
from threading import Thread

import asyncssh

from sitewright.system.processes import run_blocking

PASSWORD = "s3cret"
NETWORK = "198.51.100"
"""For documentation (RFC 5737); a test's engine must be told that it may be reached."""


@dataclass(frozen=True)
class ForeignServer:
    """Where it is, and what opens it."""

    address: str
    http_port: int
    ssh_port: int
    client_key: str
    client_public_key: str
    other_key: str


class _OverHttp(BaseHTTPRequestHandler):
    root = "/"

    def do_GET(self) -> None:
        if self.headers.get("Authorization", "") != "Basic " + base64.b64encode(f"git:{PASSWORD}".encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_USER": "git",
            "PATH": "/usr/bin:/bin",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        done = run(("git", "http-backend"), input=body, env=env, stdout=PIPE, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - as the library wants it

    def log_message(self, *_: object) -> None:
        """Nothing."""


async def _over_ssh(process: asyncssh.SSHServerProcess[bytes]) -> None:
    command, _, path = (process.command or "").partition(" ")
    if command != "git-upload-pack":
        process.exit(1)
        return
    env = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    git = await asyncio.create_subprocess_exec("git", "upload-pack", path.strip("'"), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env)
    await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
    process.exit(await git.wait())


async def _serve(address: str, keys: Path) -> None:
    web = ThreadingHTTPServer((address, 0), _OverHttp)
    _OverHttp.root = os.environ["GIT_ROOT"]
    Thread(target=web.serve_forever, daemon=True).start()
    ssh = await asyncssh.listen(
        address,
        0,
        server_host_keys=[str(keys / "host")],
        authorized_client_keys=str(keys / "client.pub"),
        process_factory=_over_ssh,
        encoding=None,
    )
    print(web.server_port, ssh.get_port(), flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def foreign_server() -> AsyncIterator[ForeignServer]:
    """One that runs until the end of this. It shows temporary folders: over HTTP by their names there, over SSH by whole paths."""
    name = f"swf{secrets.token_hex(3)}"
    place = secrets.randbelow(60) * 4
    here, there = f"{NETWORK}.{place + 1}", f"{NETWORK}.{place + 2}"
    keys = Path(tempfile.mkdtemp(prefix="swf-"))
    for which in ("host", "client", "other"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(keys / which))
        key.write_public_key(str(keys / f"{which}.pub"))
    lines = (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name eth0 netns {name}",
        f"ip address add {here}/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} address add {there}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} route add default via {here}",
    )
    process: asyncio.subprocess.Process | None = None
    try:
        for line in lines:
            done = run_blocking(line.split())
            assert done.ok, line
        roots = {"GIT_ROOT": tempfile.gettempdir()}
        argv = ("ip", "netns", "exec", name, sys.executable, "-m", __name__, there, str(keys))
        process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, env={**os.environ, **roots})
        assert process.stdout is not None
        web, ssh = (await asyncio.wait_for(process.stdout.readline(), 30)).split()
        texts = [(keys / which).read_text() for which in ("client", "client.pub", "other")]
        yield ForeignServer(there, int(web), int(ssh), *texts)
    finally:
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        run_blocking(["ip", "netns", "del", name])
        run_blocking(["ip", "link", "del", name])
        shutil.rmtree(keys, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
