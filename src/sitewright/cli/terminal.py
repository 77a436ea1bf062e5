"""The client's end of a terminal: standard input and output over a web socket (the API's `exec`)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sitewright.cli.client import PREFIX, problem
from sitewright.cli.place import Place
from sitewright.errors import SitewrightError, UnavailableError

CONNECT_SECONDS = 15.0


@contextlib.contextmanager
def raw_terminal(wanted: bool) -> Iterator[None]:
    """Standard input without echo and line editing, put back afterwards."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _dial(place: Place) -> socket.socket:
    parts = urlsplit(place.url)
    default = 443 if parts.scheme == "https" else 80
    host, port = parts.hostname or "", parts.port or default
    if place.connect:
        host, _, text = place.connect.rpartition(":")
        port = int(text)
    return socket.create_connection((host.strip("[]"), port), timeout=CONNECT_SECONDS)


def _open(place: Place, name: str, query: dict[str, str]) -> ClientConnection:
    parts = urlsplit(place.url)
    secure = parts.scheme == "https"
    uri = f"{'wss' if secure else 'ws'}://{parts.netloc}{PREFIX}/sites/{quote(name, safe='')}/exec?{urlencode(query)}"
    try:
        connection = connect(
            uri,
            sock=_dial(place),
            ssl=ssl.create_default_context() if secure else None,
            additional_headers={"Authorization": f"Bearer {place.token}"},
            open_timeout=CONNECT_SECONDS,
            max_size=None,
            compression=None,
            proxy=None,
        )
    except InvalidStatus as error:
        raise problem(error.response.status_code, bytes(error.response.body or b"")) from error
    except (OSError, InvalidHandshake) as error:
        raise UnavailableError(
            f"The platform at {place.url} does not answer.", details=str(error), resolution="`sitewright doctor` says what is wrong."
        ) from error
    return connection


def _size() -> dict[str, int]:
    size = shutil.get_terminal_size()
    return {"rows": size.lines, "columns": size.columns}


def _send_input(connection: ClientConnection) -> None:
    """Standard input to the other end until it ends, in a thread of its own."""
    with contextlib.suppress(ConnectionClosed, OSError):
        while chunk := os.read(0, 65536):
            connection.send(chunk)
        connection.send(json.dumps({"kind": "eof"}))


def _receive(connection: ClientConnection) -> int:
    """Output until the exit code comes."""
    for message in connection:
        if isinstance(message, bytes):
            sys.stdout.buffer.write(message)
            sys.stdout.buffer.flush()
            continue
        told = json.loads(message)
        if told.get("kind") == "exit":
            return int(told.get("code", 1))
        if told.get("kind") == "problem":
            raise SitewrightError(told.get("message", ""), details=told.get("details", ""), resolution=told.get("resolution", ""))
    raise UnavailableError("The connection ended before the command did.", resolution="The command may still run; try again.")


@dataclass(frozen=True, slots=True)
class Where:
    """In which instance: one of that process type, or with ``one_off`` a new one. ``channel`` "" is production."""

    process: str = "web"
    one_off: bool = False
    channel: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As the API wants it."""
        wanted = {"one_off": "1"} if self.one_off else {"process": self.process}
        return wanted | ({"channel": self.channel} if self.channel else {})


def run_remote(place: Place, name: str, argv: list[str], where: Where) -> int:
    """Run *argv* in an instance of the site; its exit code. Raises SitewrightError."""
    terminal = sys.stdin.isatty()
    with contextlib.closing(_open(place, name, where.query)) as connection:
        connection.send(json.dumps({"argv": argv, "terminal": terminal, **_size()}))
        if terminal:
            # A signal handler may not wait for the connection's lock: a thread of its own sends the new size.
            def resized(*_: object) -> None:
                threading.Thread(target=_send_size, args=(connection,), daemon=True).start()

            signal.signal(signal.SIGWINCH, resized)
        threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
        try:
            with raw_terminal(terminal):
                return _receive(connection)
        except ConnectionClosed as error:
            raise UnavailableError("The connection to the command broke.", details=str(error)) from error
        except KeyboardInterrupt:
            with contextlib.suppress(ConnectionClosed):
                connection.send(json.dumps({"kind": "kill", "signal": "INT"}))
            return 130


def _send_size(connection: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        connection.send(json.dumps({"kind": "resize", **_size()}))
