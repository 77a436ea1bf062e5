"""What a sandbox sees as its machine: the host's read-only /usr, a made-up /etc, private /tmp, /dev and /proc, and its own mounts.

Inside, every tenant is the user `site` (1000): the user namespace maps it to the site's uid, so one /etc serves all and none shows
another's existence.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from sitewright.commands import bwrap
from sitewright.engines.base import DATA_DIRECTORY, SOCKET_PATH, Mount, Sandboxed
from sitewright.engines.environment import USER, defaults, has_extra_authorities
from sitewright.system.files import replace_symlink, write_atomic

INSIDE_UID = 1000

_COPIED = (
    "ld.so.cache", "ld.so.conf", "localtime", "timezone", "mime.types", "services", "protocols", "ssl/openssl.cnf", "gai.conf",
    "debian_version", "os-release", "magic", "inputrc", "rpc", "ethertypes", "papersize",
)  # fmt: skip
"""Files of the host's /etc that say nothing secret and that programs look for."""
_COPIED_FOLDERS = ("alternatives", "fonts", "ld.so.conf.d", "python3", "python3.11", "ImageMagick-6", "terminfo")
"""Small folders likewise, as they are when the engine opens. Each one that was shown itself would cost every start a fifth of a ms."""
_BOUND = ("ssl/certs", "php", "java-17-openjdk")
"""Folders that are shown themselves; the sandbox's user is in no group, so what only root may read stays unread."""
_LISTEN = Path(__file__).with_name("listen.cjs")
"""What Node runs first in an instance that adopts (environment.ADOPT_SCRIPT)."""
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"


@dataclass(frozen=True, slots=True)
class Base:
    """What all sandboxes share: the folder that is their /etc, and which of the host's folders exist."""

    etc: Path
    bound: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]
    extra_authorities: bool


def make_base(etc: Path, resolvers: tuple[str, ...]) -> Base:
    """Write the shared /etc to the folder *etc* and look at the host. Raises OSError."""
    etc.mkdir(mode=0o755, parents=True, exist_ok=True)
    (etc / "ssl").mkdir(exist_ok=True)
    for name in _COPIED:
        with contextlib.suppress(OSError):
            shutil.copyfile(Path("/etc") / name, etc / name)
            (etc / name).chmod(0o644)
    written = {
        "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n{USER}:x:{INSIDE_UID}:{INSIDE_UID}:{USER}:{DATA_DIRECTORY}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\n{USER}:x:{INSIDE_UID}:\nnogroup:x:65534:\n",
        "nsswitch.conf": _NSSWITCH,
        "resolv.conf": "".join(f"nameserver {address}\n" for address in resolvers) + "options timeout:2 attempts:3\n",
        "hosts": "127.0.0.1 localhost\n",
        "host.conf": "multi on\n",
        "profile": "",
        "mtab": "",
        "shells": "/bin/sh\n/bin/bash\n",
    }
    for name, text in written.items():
        write_atomic(etc / name, text.encode(), durable=False)
    (etc / "sitewright").mkdir(mode=0o755, exist_ok=True)
    write_atomic(etc / "sitewright" / _LISTEN.name, _LISTEN.read_bytes(), durable=False)
    for name in _COPIED_FOLDERS:
        with contextlib.suppress(OSError):
            _copy_folder(Path("/etc") / name, etc / name)
    bound = tuple(name for name in _BOUND if (Path("/etc") / name).is_dir())
    for name in bound:
        (etc / name).mkdir(parents=True, exist_ok=True)
    links, folders = _top_level()
    return Base(etc, bound, links, folders, has_extra_authorities())


def _copy_folder(source: Path, target: Path) -> None:
    """Make *target* like *source*, without what only root may read. What is alike is left alone: sandboxes that run have it before their
    eyes. Raises OSError."""
    target.mkdir(mode=0o755, exist_ok=True)
    wanted = {entry.name: entry for entry in source.iterdir()}
    for old in target.iterdir():
        if old.name not in wanted:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for name, entry in wanted.items():
        made = target / name
        if entry.is_symlink():
            if not made.is_symlink() or made.readlink() != entry.readlink():
                replace_symlink(made, str(entry.readlink()))
        elif entry.is_dir():
            _copy_folder(entry, made)
        elif entry.is_file() and entry.stat().st_mode & 0o004:
            content = entry.read_bytes()
            if not made.is_file() or made.read_bytes() != content:
                write_atomic(made, content, durable=False)


def _top_level() -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """/bin, /lib and so on: as links where the host has merged them into /usr, else as folders."""
    links: list[tuple[str, str]] = []
    folders: list[str] = []
    for name in ("bin", "sbin", "lib", "lib64", "lib32", "libx32"):
        path = Path("/") / name
        if path.is_symlink():
            links.append((str(path.readlink()), str(path)))
        elif path.is_dir():
            folders.append(str(path))
    return tuple(links), tuple(folders)


def file_system(base: Base, box: Sandboxed, run_folder: Mount | None, hosts: Path | None) -> tuple[str, ...]:
    """bubblewrap's mount options for *box*, in order."""
    options: list[str] = [*bwrap.bind("/usr", "/usr")]
    for target, link in base.links:
        options += ("--symlink", target, link)
    for folder in base.folders:
        options += bwrap.bind(folder, folder)
    options += bwrap.bind(str(base.etc), "/etc")
    for name in base.bound:
        options += bwrap.bind(f"/etc/{name}", f"/etc/{name}")
    if hosts is not None:
        options += bwrap.bind(str(hosts), "/etc/hosts")
    options += ("--proc", "/proc", "--dev", "/dev")
    options += bwrap.tmpfs("/dev/shm", box.limits.scratch_bytes)  # noqa: S108 - the sandbox's own
    options += bwrap.tmpfs("/tmp", box.limits.scratch_bytes)  # noqa: S108
    options += ("--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run")  # noqa: S108
    options += ("--perms", "0755", "--dir", "/run")
    if run_folder is not None:
        options += bwrap.bind(str(run_folder.source), run_folder.target, writable=run_folder.writable)
    for mount in box.mounts:
        options += bwrap.bind(str(mount.source), mount.target, writable=mount.writable)
    if not _inside_a_mount(box):
        options += ("--dir", box.workdir)
    return (*options, *bwrap.sealed(), "--chdir", box.workdir)


def _inside_a_mount(box: Sandboxed) -> bool:
    return any(Path(box.workdir).is_relative_to(mount.target) for mount in box.mounts) or box.workdir in {"/", "/tmp"}  # noqa: S108


def environment(base: Base, box: Sandboxed, own: tuple[tuple[str, str], ...] = ()) -> tuple[tuple[str, str], ...]:
    """Defaults, then what the box says, then what the engine sets."""
    return (*defaults(box, extra_authorities=base.extra_authorities), *box.env, *own)


def socket_folder(folder: Path) -> Mount:
    """The folder in which an app makes its own socket, at the place that $SOCKET names."""
    return Mount(folder, str(Path(SOCKET_PATH).parent), writable=True)
