"""What this machine can do for sandboxes: found out once, said plainly."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from sitewright.commands import bwrap, relay
from sitewright.engines.base import Capability
from sitewright.engines.sandbox import seccomp
from sitewright.errors import EngineError, SitewrightError
from sitewright.system.cgroups import ControlGroups
from sitewright.system.files import write_atomic
from sitewright.system.hierarchy import find_hierarchy
from sitewright.system.processes import Runner
from sitewright.system.remount import favour_moves


async def check_bubblewrap(runner: Runner) -> None:
    """Raise EngineError with what to do when bubblewrap is missing or the kernel refuses it user namespaces."""
    if not Path(bwrap.BWRAP).exists():
        raise EngineError(
            "bubblewrap is not installed.", details="The sandbox engine runs every site in it.", resolution="apt-get install bubblewrap"
        )
    # Not "/" as a whole: bubblewrap would visit every mount below it, and those of other platforms' networks come and go.
    shown = (*bwrap.bind("/usr", "/usr"), *bwrap.bind_if_there("/lib", "/lib"), *bwrap.bind_if_there("/lib64", "/lib64"))
    probe = (bwrap.BWRAP, "--unshare-user", "--unshare-pid", *shown, "--proc", "/proc", "--", "/usr/bin/true")
    done = await runner.run(probe, timeout=20)
    if not done.ok:
        raise EngineError(
            "This machine does not let bubblewrap make user namespaces.",
            details=done.errors.decode(errors="replace").strip()[-400:],
            resolution="As root: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000 "
            "(Ubuntu: also kernel.apparmor_restrict_unprivileged_userns=0); or use --engine docker.",
        )


def write_filter(path: Path) -> Capability:
    """The system call filter as a file that bubblewrap reads."""
    program = seccomp.filter_for()
    if program is None:
        return Capability(
            "system call filter", ok=False, note=f"No table for this processor ({os.uname().machine}).", resolution="Use x86_64 or aarch64."
        )
    write_atomic(path, program, mode=0o644, durable=False)
    return Capability("system call filter", ok=True)


def control_groups(parent: str) -> tuple[ControlGroups | None, tuple[Capability, ...]]:
    """The control groups, None when this user may not make any."""
    groups = ControlGroups(find_hierarchy(), parent)
    try:
        groups.prepare()
    except OSError as error:
        return None, (_unlimited(str(error)),)
    if groups.hierarchy.unified is not None:
        favour_moves(groups.hierarchy.unified)
    if groups.missing:
        return groups, (_unlimited(f"missing controllers: {', '.join(groups.missing)}"),)
    return groups, (Capability("limits", ok=True, note="memory, CPU and processes by control groups"),)


def _unlimited(why: str) -> Capability:
    return Capability(
        "limits",
        ok=False,
        note=f"Memory, CPU and processes of a site are not limited ({why}).",
        resolution="Run as root on a machine with control groups.",
    )


def ordinary_user(slirp: str) -> tuple[Capability, ...]:
    """What is weaker without root."""
    network = Capability(
        "network",
        ok=bool(slirp),
        note="Through slirp4netns: private ranges are not filtered." if slirp else "Sites and builds have no network.",
        resolution="Run as root." if slirp else "Run as root, or: apt-get install slirp4netns",
    )
    return (
        Capability(
            "separate users",
            ok=False,
            note="All sites run as your own user; namespaces alone keep them apart.",
            resolution="Run as root to give every site a user of its own.",
        ),
        _unlimited("not root"),
        Capability("freezing idle sites", ok=False, note="Idle sites are stopped instead.", resolution="Run as root."),
        network,
    )


def relay_program() -> tuple[str, Capability]:
    """systemd-socket-proxyd's path, "" when it is missing."""
    found = next((path for path in relay.CANDIDATES if Path(path).exists()), "")
    if found:
        return found, Capability("apps on a TCP port", ok=True)
    return "", Capability("apps on a TCP port", ok=False, note="systemd-socket-proxyd is missing.", resolution="apt-get install systemd")


def most_open_files() -> int:
    """The hard limit of this process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_048_576 if hard == resource.RLIM_INFINITY else hard


def slirp_program() -> str:
    """slirp4netns's path, "" when it is missing."""
    return shutil.which("slirp4netns") or ""


async def open_network_tools() -> None:
    """Raise SitewrightError when the programs for private networks are missing."""
    for path, package in (("/usr/sbin/ip", "iproute2"), ("/usr/sbin/nft", "nftables")):
        if not Path(path).exists():
            raise SitewrightError(f"{path} is missing.", resolution=f"apt-get install {package}")
