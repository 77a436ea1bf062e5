"""A real nats-server for tests, with the platform's own configuration and credentials."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sitewright.bus.client import Credentials, NatsBus
from sitewright.bus.server import MANAGER, ensure_credentials, load_credentials, nats_argv, write_config
from sitewright.config.settings import Settings


class NatsServer:
    """Starts, kills and starts again the bus of one platform folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        ensure_credentials(settings.paths, settings.node)
        write_config(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = subprocess.Popen(nats_argv(self.settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        host, port = self.settings.paths.bus_port_file.read_text().strip().split(":")
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("nats-server did not start within 10 s")

    def kill(self) -> None:
        """As kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def credentials(self, name: str) -> Credentials:
        """How *name* reaches it."""
        return load_credentials(self.settings.paths, name)

    def bus(self, name: str = MANAGER) -> NatsBus:
        """A bus that connects as *name* in the background; needs a running event loop."""
        bus = NatsBus(lambda: self.credentials(name))
        bus.open()
        return bus


@contextlib.contextmanager
def running_nats(folder: Path) -> Iterator[NatsServer]:
    """A server of its own for as long as the block lasts."""
    server = NatsServer(Settings(home=folder / "home", run=folder / "run"))
    server.start()
    try:
        yield server
    finally:
        server.kill()
