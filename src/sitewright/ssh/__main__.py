"""`python -m sitewright.ssh`: the door as a process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import socket
import sys

from sitewright.bus.client import NatsBus
from sitewright.bus.server import load_credentials
from sitewright.bus.subjects import DOOR
from sitewright.config.settings import Settings, load_settings
from sitewright.errors import PreflightError, SitewrightError
from sitewright.ssh.door import BACKLOG, Door
from sitewright.ssh.host_keys import host_keys
from sitewright.system.log import configure_logging
from sitewright.system.readiness import inherited_socket, say_ready

log = logging.getLogger(__name__)

TRIM_SECONDS = 60.0
SOCKET_VARIABLE = "SITEWRIGHT_SSH_FD"


def main() -> int:
    """Serve until TERM or INT; 0, or the exit code of the error that is printed."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        if not host_keys(settings.paths):
            raise PreflightError("The SSH door has no key of its own.", resolution="Run `sitewright up`, which makes one.")
        asyncio.run(serve(settings, inherited_socket(SOCKET_VARIABLE) or listening_socket(settings)))
    except SitewrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def listening_socket(settings: Settings) -> socket.socket:
    """A socket of one's own, where no supervisor hands one over."""
    family = socket.AF_INET6 if ":" in settings.ssh_address else socket.AF_INET
    return socket.create_server((settings.ssh_address, settings.ssh_port), family=family, backlog=BACKLOG)


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Run until told to stop."""
    bus = NatsBus(lambda: load_credentials(settings.paths, DOOR))
    bus.open()
    door = Door(settings, bus)
    listener.setblocking(False)
    await door.open(listener)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    gc.collect()
    gc.freeze()
    give_back_memory()
    say_ready()
    trimming = asyncio.create_task(_trim_for_ever())
    await stopping.wait()
    trimming.cancel()
    await door.close()
    await bus.close()


def give_back_memory() -> None:
    """What was used to load the program, or for a large push, and is free now: 10 MB of 50 after the start."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def _trim_for_ever() -> None:
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        gc.collect()
        give_back_memory()


if __name__ == "__main__":
    sys.exit(main())
