"""The image of stack "host": nothing but folders, symlinks and the launcher; the machine's own /usr is bound in, read-only.

Made from nothing, without a registry, in a tenth of a second, and it never goes stale: an upgrade of the machine is an upgrade of the
stack.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

from sitewright.commands.docker_config import Bind
from sitewright.engines.docker.daemon import Daemon
from sitewright.errors import EngineError

HOST_STACK = "host"
LAUNCHER = "/sitewright/launch.py"
PYTHON = "/usr/bin/python3"

# /sbin is a folder and not a link into /usr: the daemon puts its init there, and the bind of /usr would hide it.
FOLDERS = (
    "app",
    "data",
    "cache",
    "dev",
    "etc",
    "home",
    "proc",
    "root",
    "sbin",
    "run",
    "run/sitewright",
    "sitewright",
    "sys",
    "tmp",
    "usr",
    "var",
)
LINKS = (
    ("bin", "usr/bin"),
    ("sbin/ldconfig", "../usr/sbin/ldconfig"),
    ("lib", "usr/lib"),
    ("lib32", "usr/lib32"),
    ("lib64", "usr/lib64"),
    ("var/run", "/run"),
    ("var/tmp", "/tmp"),  # noqa: S108 - the private one, inside
)
FILES = (("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n"), ("etc/shells", b"/bin/sh\n/bin/bash\n"))

HOST_PATHS = (
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/ImageMagick-6",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/php",
    "/etc/protocols",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
)
"""What of the machine a site may read: programs and public facts, never accounts, keys or settings of services."""


def host_binds(host_paths: tuple[str, ...] = HOST_PATHS) -> tuple[Bind, ...]:
    """Those of ``HOST_PATHS`` that this machine has."""
    return tuple(Bind(path, path) for path in host_paths if Path(path).exists())


def skeleton(launcher: bytes) -> bytes:
    """A tar of the image's files, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in FOLDERS:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755  # which a tmpfs there takes over
            tar.addfile(member)
        for name, target in LINKS:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
        for name, content in (*FILES, (LAUNCHER.lstrip("/"), launcher)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def ensure_image(daemon: Daemon, tag: str) -> str:
    """Make the image of stack "host" if this daemon does not have it; returns its name. Raises DaemonError."""
    tar = skeleton(Path(__file__).with_name("launch.py").read_bytes())
    repository, version = f"sitewright-{tag}/host", hashlib.sha256(tar).hexdigest()[:12]
    name = f"{repository}:{version}"
    if await daemon.find(f"images/{name}/json") is None:
        await daemon.load("images/create", {"fromSrc": "-", "repo": repository, "tag": version}, tar)
        if await daemon.find(f"images/{name}/json") is None:
            raise EngineError("The Docker Engine did not keep the base image of the host stack.", resolution="Look into the daemon's log.")
    return name
