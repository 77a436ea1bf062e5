"""What this machine is like: observations for preflight and doctor. Nothing is changed here."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.system.accounts import is_root
from sitewright.system.processes import CommandFailedError, run_blocking
from sitewright.up.leftovers import lock_holder

PACKAGES = (
    ("bubblewrap", "bwrap"),
    ("git", "git"),
    ("openssh-client", "scp"),
    ("openssh-sftp-server", "/usr/lib/openssh/sftp-server"),
    ("rsync", "rsync"),
    ("nftables", "nft"),
    ("iproute2", "ip"),
    ("systemd", "/lib/systemd/systemd-socket-proxyd"),
)
"""(Debian package, program that proves it is there)."""
FOR_FILES = frozenset({"openssh-client", "openssh-sftp-server", "rsync"})
"""Only scp, sftp and rsync into sites need them: the platform starts without."""
ROOT_ONLY = frozenset({"nftables", "iproute2"})


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the machine. Texts are "" when there is nothing to say."""

    root: bool
    home: Path
    home_problem: str
    free_bytes: int
    other_up: int
    address: str
    port: int
    port_problem: str
    missing: tuple[str, ...]
    can_install: bool
    namespaces_problem: str
    python_unreachable: str
    docker_problem: str
    engine: str
    user_network: bool
    """Whether an ordinary user's sandboxes can have a network (slirp4netns is there)."""
    spared: frozenset[str] = FOR_FILES
    """Packages without which it starts."""
    ssh_port: int = 0
    ssh_problem: str = ""
    """Why the SSH door cannot listen."""


def program_path(name: str) -> str:
    """Where the program is, also in the folders that an ordinary user's PATH leaves out; "" when missing."""
    if name.startswith("/"):
        return name if os.access(name, os.X_OK) else ""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])) or ""


def missing_packages(*, root: bool) -> tuple[str, ...]:
    """Debian packages that the platform needs and this machine lacks. An ordinary user needs no network tools."""
    return tuple(package for package, program in PACKAGES if not program_path(program) and (root or package not in ROOT_ONLY))


def nearest(path: Path) -> Path:
    """The path itself or its closest ancestor that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def home_problem(home: Path) -> str:
    """Why the data folder cannot be used, "" when it can."""
    there = nearest(home)
    if not there.is_dir():
        return f"{there} is not a folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written by this user"
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return f"{there} is on a read-only disk"
    return _closed_to_others(home) if is_root() else ""


def _closed_to_others(home: Path) -> str:
    """As root the parts run as other users, who must get to the data folder."""
    for folder in reversed(home.resolve().parents):
        if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
            return f"other users, such as the manager's, cannot enter {folder}"
    return ""


def _listener_inode(port: int) -> str:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and fields[1].endswith(f":{port:04X}"):
                return fields[9]
    return ""


def port_owner(port: int) -> str:
    """The program that listens there, as “nginx (process 812)”; "" when that cannot be seen."""
    inode = _listener_inode(port)
    if not inode:
        return ""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


def port_problem(address: str, port: int) -> str:
    """Why nothing can listen there, "" when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                owner = port_owner(port)
                return f"in use by {owner}" if owner else "in use by another program"
            if error.errno == errno.EACCES:
                return "only root may listen on ports below 1024"
            return os.strerror(error.errno or 0).lower()
    return ""


def with_its_door(settings: Settings) -> Settings:
    """The settings, without the SSH door when something else listens on its port: sites are served all the same."""
    if settings.ssh_port and port_problem(settings.ssh_address, settings.ssh_port):
        return settings.model_copy(update={"ssh_port": 0})
    return settings


def namespaces_problem() -> str:
    """Why a sandbox cannot be made by this user, "" when it can (or when bubblewrap is not there to try)."""
    bwrap = program_path("bwrap")
    if not bwrap:
        return ""
    # Not "/" as a whole: bubblewrap visits every mount below it, and those of other platforms' networks come and go.
    shown = [part for name in ("/usr", "/lib", "/lib64") for part in ("--ro-bind-try", name, name)]
    argv = [bwrap, "--unshare-all", *shown, "--proc", "/proc", "--dev", "/dev", "/usr/bin/true"]
    try:
        done = run_blocking(argv, timeout=10)
    except CommandFailedError as error:
        return error.details
    return "" if done.ok else done.errors.decode(errors="replace").strip().removeprefix("bwrap: ")


def enterable_by_others(path: Path) -> Path | None:
    """The first folder on the way to *path* (or itself) that other users cannot enter or read; None when the way is free."""
    path = path.resolve()
    for part in [*reversed(path.parents), path]:
        mode = part.stat().st_mode
        needed = (stat.S_IXOTH if part != path else stat.S_IXOTH | stat.S_IROTH) if stat.S_ISDIR(mode) else stat.S_IROTH
        if mode & needed != needed:
            return part
    return None


def python_unreachable() -> str:
    """The folder that keeps other users from the Python that runs this, "" when none does."""
    barrier = enterable_by_others(Path(sys.executable))
    base = enterable_by_others(Path(sys.base_prefix))
    if base is None and (barrier is None or Path(sys.prefix).resolve() in [barrier, *barrier.parents]):
        return ""
    # A barrier in front of the virtual environment itself is passed by a bind mount (see reach.py); one before its Python is not.
    return str(base) if base is not None else ""


def docker_problem(settings: Settings) -> str:
    """Why the Docker Engine does not answer, "" when it does or is not asked for."""
    if settings.engine != "docker":
        return ""
    kind, _, rest = settings.docker_host.partition("://")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(3)
                probe.connect(rest)
        else:
            host, _, port = rest.rstrip("/").partition(":")
            socket.create_connection((host, int(port or "2375")), timeout=3).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def survey(settings: Settings) -> Facts:
    """One look at the machine."""
    root = is_root()
    home = settings.home
    there = nearest(home)
    disk = os.statvfs(there)
    return Facts(
        root=root,
        home=home,
        home_problem=home_problem(home),
        free_bytes=disk.f_bavail * disk.f_frsize,
        other_up=lock_holder(settings.paths),
        address=settings.http_address,
        port=settings.http_port,
        port_problem=port_problem(settings.http_address, settings.http_port),
        missing=missing_packages(root=root),
        can_install=root and settings.install_packages and bool(program_path("apt-get")),
        namespaces_problem=namespaces_problem(),
        python_unreachable=python_unreachable() if root else "",
        docker_problem=docker_problem(settings),
        engine=settings.engine,
        user_network=bool(program_path("slirp4netns")),
        ssh_port=settings.ssh_port,
        ssh_problem=port_problem(settings.ssh_address, settings.ssh_port) if settings.ssh_port else "",
    )
