"""A whole platform for tests, started and stopped as a person would, with its parts at hand for killing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from sitewright.config.settings import Settings
from sitewright.testing.visitor import VisitedSite

START_SECONDS = 240.0


class Platform:
    """`./sitewright up` in the background, with a data folder and a port of its own; it has an SSH door when it gets a port for it."""

    def __init__(self, program: Path, *, home: Path, port: int, ssh_port: int = 0, arguments: tuple[str, ...] = ()) -> None:
        self.program = program
        self.settings = Settings(home=home, http_port=port, ssh_port=ssh_port)
        self.arguments = arguments
        self.output = home.with_name(home.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the CLI needs to find this platform."""
        own = {"SITEWRIGHT_HOME": str(self.settings.home), "SITEWRIGHT_HTTP_PORT": str(self.settings.http_port)}
        return {**os.environ, **own, "SITEWRIGHT_SSH_PORT": str(self.settings.ssh_port)}

    def start(self) -> None:
        """Run `up` and wait until it has printed that everything stands. Raises AssertionError with its output when it ends before."""
        self.begin()
        self._await_start()

    def begin(self) -> None:
        """Run `up`, without waiting for anything."""
        self.settings.home.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self.program), "up", *self.arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _await_start(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, f"`up` ended with {self._process.returncode}:\n{self.output.read_text()}"
            assert time.monotonic() < deadline, f"`up` did not finish in {START_SECONDS:.0f} s:\n{self.output.read_text()}"
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether `up` has said that it is ready and the manager answers through the router."""
        return "sign-in" in self.output.read_text().lower() and self.ready()

    def ready(self) -> bool:
        """Whether manager, bus and node are well, as the manager's own health page says."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.settings.http_port}/health/ready", headers={"host": self.settings.manager_host})
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def part_pid(self, part: str) -> int:
        """The process id of `manager`, `nats`, `node`, `ssh` or `nginx`, as the supervisor notes it; 0 while it is down."""
        try:
            return int((self.settings.paths.run / "pids" / f"{part}.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return 0

    def stop(self) -> int:
        """Ctrl-C; waits until everything has ended and returns the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=60)
        self._process = None
        return code

    def clear_away(self) -> None:
        """Stop it, end what a killed supervisor has left, and remove its run folder; for the end of a test."""
        self.stop()
        self.cli("down", check=False)
        shutil.rmtree(self.settings.paths.run, ignore_errors=True)

    def cli(self, *arguments: str, check: bool = True, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run the CLI as the user who ran `up`. With *check*, raises AssertionError with everything it said when it fails."""
        done = subprocess.run(
            [str(self.program), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"sitewright {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One API request with the machine's own token; *path* is below /api/v1."""
        token = self.settings.paths.local_token.read_text().strip()
        headers = {"host": self.settings.manager_host, "authorization": f"Bearer {token}", **options.pop("headers", {})}
        return httpx.request(method, f"http://127.0.0.1:{self.settings.http_port}/api/v1{path}", headers=headers, timeout=30.0, **options)

    def asleep(self, host: str) -> bool:
        """Whether the router finds nobody there who would answer, and has whoever comes wait for a wake."""
        return (self.settings.paths.routes / host / "asleep").exists()

    def site(self, name: str, source: Path | str = "") -> VisitedSite:
        """That site as a visitor and its owner see it."""
        host = f"{name}.{self.settings.domain}"
        return VisitedSite(name, host, self.settings.http_port, str(source), (str(self.program),))

    def state(self) -> dict[str, Any]:
        """What `sitewright status --json` says."""
        body: dict[str, Any] = json.loads(self.cli("status", "--json").stdout)
        return body
