"""A real manager process on a real bus, with a fake node: for tests that kill it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from sitewright.bus.base import Bus
from sitewright.bus.messages import Heartbeat
from sitewright.bus.subjects import node_topic
from sitewright.config.settings import Settings
from sitewright.manager.bus import BusThread
from sitewright.testing.fake_node import FakeNode
from sitewright.testing.nats_server import NatsServer, running_nats

DEADLINE_SECONDS = 60.0
SETUP_SECONDS = 120.0


class ManagerProcess:
    """`python -m sitewright.manager.serve`, that can be killed and started again, and what one says to it."""

    def __init__(self, nats: NatsServer, database_url: str = "") -> None:
        self.nats = nats
        self.settings: Settings = nats.settings
        self.node = FakeNode(now=time.time(), speaks=True)
        self.node_thread = BusThread(self._node_bus, self.node.join)
        self._process: subprocess.Popen[bytes] | None = None
        paths = self.settings.paths
        self.env = {
            **os.environ,
            "SITEWRIGHT_HOME": str(paths.home),
            "SITEWRIGHT_RUN": str(paths.run),
            "SITEWRIGHT_HTTP_PORT": str(self.settings.http_port),
            "SITEWRIGHT_DOMAIN": self.settings.domain,
            "SITEWRIGHT_DATABASE_URL": database_url,
        }
        self.env.pop("DJANGO_SETTINGS_MODULE", None)

    def _node_bus(self) -> Bus:
        return self.nats.bus(self.settings.node)

    def setup(self) -> Any:
        """Run setup; what it prints."""
        return _set_up(self.env)

    def start(self, **env: str) -> None:
        """Start it and wait until it answers."""
        self.settings.paths.uploads.mkdir(parents=True, exist_ok=True)
        log = (self.settings.paths.home / "manager.log").open("ab")
        self._process = subprocess.Popen([sys.executable, "-m", "sitewright.manager.serve"], env={**self.env, **env}, stderr=log)
        log.close()
        self.until(self._answers, "the manager answers")

    def _answers(self) -> bool:
        """Tried with a socket of our own first: httpx leaves one open when nobody is there."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.settings.paths.manager_socket))
            except OSError:
                return False
        with self.http() as client:
            return client.get("/health/live").status_code == 200

    def http(self) -> httpx.Client:
        """A client with the local token, over the manager's socket."""
        transport = httpx.HTTPTransport(uds=str(self.settings.paths.manager_socket))
        token = self.settings.paths.local_token.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(transport=transport, base_url=f"http://{self.settings.manager_host}", headers=headers, timeout=20)

    def api(self, method: str, path: str, **more: Any) -> Any:
        """JSON of the answer; raises on an error status."""
        with self.http() as client:
            answer = client.request(method, f"/api/v1{path}", **more)
        if answer.is_error:
            raise RuntimeError(f"{answer.status_code} {answer.text}")
        return answer.json()

    def finished(self, operation_id: str, seconds: float = DEADLINE_SECONDS) -> Any:
        """The operation once it is over."""
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(self.api("GET", f"/operations/{operation_id}"))
            return found["state"] in {"succeeded", "failed", "cancelled"}

        self.until(over, f"operation {operation_id} is over", seconds)
        return found

    def beat(self) -> None:
        """Let the node say that it is there."""
        self.node.sequence += 1
        beat = Heartbeat(node=self.node.name, at=time.time(), sequence=self.node.sequence, full=False)
        self.node_thread.run(self.node_thread.bus.publish(node_topic(self.node.name, "heartbeat"), beat), 5)

    def kill(self) -> None:
        """As kill -9 does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As TERM does; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(DEADLINE_SECONDS)
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    @staticmethod
    def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until *condition* holds. Raises TimeoutError that names it."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"After {seconds:.0f} s still not: {what}")
            time.sleep(0.05)


def _set_up(env: dict[str, str]) -> Any:
    argv = [sys.executable, "-m", "sitewright.manager.setup"]
    done = subprocess.run(argv, env=env, capture_output=True, check=False, timeout=SETUP_SECONDS)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return json.loads(done.stdout)


@cache
def _tables() -> tempfile.TemporaryDirectory[str]:
    """A SQLite database as setup leaves it, and its key, for all managers of this run: making the tables takes longest of all."""
    folder = tempfile.TemporaryDirectory(prefix="sitewright-tables-")
    _set_up({**os.environ, "SITEWRIGHT_HOME": f"{folder.name}/home", "SITEWRIGHT_RUN": f"{folder.name}/run", "SITEWRIGHT_DATABASE_URL": ""})
    return folder


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """A database of its own on the PostgreSQL of *server_url*; "" (SQLite) when that is empty."""
    if not server_url:
        yield ""
        return
    import psycopg  # noqa: PLC0415 - only with PostgreSQL

    name = f"process_{secrets.token_hex(4)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        head, _, query = server_url.partition("?")
        yield f"{head.rsplit('/', 1)[0]}/{name}?{query}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_manager(folder: Path, server_url: str = "") -> Iterator[ManagerProcess]:
    """Bus, node and manager, for as long as the block lasts."""
    with running_nats(folder) as nats, fresh_database(server_url) as database_url:
        manager = ManagerProcess(nats, database_url)
        manager.node_thread.start()
        if not database_url:
            shutil.copytree(f"{_tables().name}/home/manager", manager.settings.paths.database.parent, dirs_exist_ok=True)
        manager.setup()
        manager.start()
        try:
            yield manager
        finally:
            manager.kill()
            manager.node_thread.stop()
