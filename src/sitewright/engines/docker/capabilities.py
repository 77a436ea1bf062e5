"""What the Docker Engine of this machine gives, and what not: from its own words to a person's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sitewright.engines.base import Capability

QUOTA_HINT = "Nothing a site writes goes to the daemon's disk: its root is read-only. Folders are counted by the platform."


def capabilities(info: Mapping[str, Any], egress_problem: str) -> tuple[Capability, ...]:
    """From the answer of GET /info; *egress_problem* is why private ranges could not be closed, "" when they are."""
    security = " ".join(info.get("SecurityOptions") or ())
    remapped, seccomp = "name=userns" in security, "name=seccomp" in security
    return (
        Capability("docker", True, f"Docker Engine {info.get('ServerVersion', '?')}, storage {info.get('Driver', '?')}"),
        Capability("local", True, "Visitors reach instances through unix sockets; a Docker Engine on another machine cannot be used."),
        Capability(
            "seccomp", seccomp, "" if seccomp else "System calls are not filtered.", "" if seccomp else "Use a kernel with seccomp."
        ),
        Capability(
            "limits",
            all(info.get(name) for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota")),
            f"memory, processes and CPU by cgroup v{info.get('CgroupVersion', '1')} ({info.get('CgroupDriver', '?')})",
        ),
        Capability(
            "users",
            True,
            "Each site has a uid of its own, without capabilities."
            + (" The daemon maps users; sites keep their own uid and are left out of the map." if remapped else ""),
        ),
        Capability(
            "images",
            True,
            "Sites may come from a Dockerfile or an image. "
            + ("" if remapped else "While a Dockerfile is built, its commands are root of a container, as with docker build."),
        ),
        Capability("storage quota", False, QUOTA_HINT),
        Capability(
            "network isolation",
            not egress_problem,
            egress_problem or "One bridge a site; host, private ranges and other sites are out of reach.",
            "Run the platform as root, with nftables installed." if egress_problem else "",
        ),
        Capability(
            "live restore",
            bool(info.get("LiveRestoreEnabled")),
            "" if info.get("LiveRestoreEnabled") else "A restart of the Docker Engine restarts every site.",
            "" if info.get("LiveRestoreEnabled") else 'Put "live-restore": true into /etc/docker/daemon.json.',
        ),
    )
