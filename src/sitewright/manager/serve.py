"""The manager process: pages and API on a unix socket, and (unless SITEWRIGHT_WORKERS=0) the threads that work on operations."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from pathlib import Path

from sitewright.config.settings import load_settings
from sitewright.errors import PreflightError, SitewrightError
from sitewright.manager.keys import read_keys
from sitewright.system.log import configure_logging
from sitewright.system.readiness import inherited_socket

log = logging.getLogger(__name__)

GRACE_SECONDS = 5
BACKLOG = 2048


def main() -> int:
    """Serve until TERM or INT; 0, or the exit code of the error that is printed."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        for noisy in ("django.request", "uvicorn.error"):
            logging.getLogger(noisy).addFilter(_worth_keeping)
        if not read_keys(settings.paths):
            raise PreflightError("The manager is not set up.", resolution="Run `python -m sitewright.manager.setup` first.")
        serve(inherited_socket("SITEWRIGHT_MANAGER_FD") or listening_socket(settings.paths.manager_socket))
    except SitewrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _worth_keeping(record: logging.LogRecord) -> bool:
    """Each 404 is somebody's typing; a traceback is ours."""
    return bool(record.exc_info)


def listening_socket(path: Path) -> socket.socket:
    """A unix socket that the router may connect to. It takes the place of one that a killed process has left, in one rename."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    fresh.chmod(0o666)
    listener.listen(BACKLOG)
    fresh.replace(path)
    return listener


def serve(listener: socket.socket) -> None:
    """Run until told to stop."""
    import uvicorn  # noqa: PLC0415 - after logging is set up

    from sitewright.manager.asgi import application  # noqa: PLC0415 - starts Django
    from sitewright.manager.process import Process  # noqa: PLC0415
    from sitewright.manager.server import Server  # noqa: PLC0415

    settings = load_settings()
    process = Process(settings, threads=settings.workers)
    process.start()
    # What has been loaded stays for good: not gone through again each time when old objects are looked for.
    gc.collect()
    gc.freeze()
    try:
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws="websockets-sansio",
        )
        Server(config).run(sockets=[listener])
    finally:
        process.stop()


if __name__ == "__main__":
    sys.exit(main())
