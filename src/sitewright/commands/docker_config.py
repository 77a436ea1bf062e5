"""What is asked of a Docker Engine, as data: bodies of containers and networks, and the names and labels that mark what is ours.

The builders are pure and give exactly what goes over the wire, so tests compare it whole. Nothing a tenant says chooses a mount, a
privilege or an option: tenants' words appear in ``Cmd`` and ``Env`` only.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from sitewright.domain.limits import Limits, cpu_shares

PLATFORM_LABEL = "sitewright.platform"
INSTANCE_LABEL = "sitewright.instance"
JOB_LABEL = "sitewright.job"
UID_LABEL = "sitewright.uid"
SPEC_LABEL = "sitewright.spec"

LOG_FILE_MIB = 1
"""The daemon keeps at most two files of this size a container: what was said while the node process was away."""
OUT_OF_MEMORY_SCORE = 500
"""When the whole machine runs out of memory, tenants go before the router, the bus and the databases."""

SITE_NETWORKS = ipaddress.IPv4Network("100.64.0.0/10")
"""Shared address space (RFC 6598): private to this machine, and it meets neither homes' nor campuses' networks."""
SITE_PREFIX = 26
SLICE_PREFIX = 16
NETWORK_PLACES = 2 ** (SITE_PREFIX - SLICE_PREFIX)
"""How many networks one platform can have: tenants with something running at the same time."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the host seen inside."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One container to make. ``network`` is the name of a network, or "none"."""

    image: str
    argv: tuple[str, ...]
    uid: int
    env: tuple[str, ...]
    binds: tuple[Bind, ...]
    limits: Limits
    network: str
    workdir: str
    labels: tuple[tuple[str, str], ...] = field(default=())
    takes_input: bool = False
    foreign: bool = False
    """The image is a tenant's own: what it asks to be run beside ``argv`` is not followed."""
    volatile: tuple[str, ...] = ()
    """Folders that get a small private place in memory."""


def container_name(tag: str, identity: str) -> str:
    """The name that makes starting the same instance or job twice impossible: the daemon refuses the second."""
    return f"sw-{tag}-{identity}"


def container_body(container: Container) -> dict[str, Any]:
    """The body of POST /containers/create. Hardened by default; see docs/reference/engines.md for the reason of each line."""
    return {
        "Image": container.image,
        **_program(container),
        "Env": list(container.env),
        "User": f"{container.uid}:{container.uid}",
        "WorkingDir": container.workdir,
        "Hostname": "site",
        "Labels": dict(container.labels),
        "Tty": False,
        "OpenStdin": container.takes_input,
        "StdinOnce": container.takes_input,
        "StopSignal": "SIGTERM",
        "HostConfig": {
            **_confinement(container.limits.scratch_bytes),
            **_bounds(container.limits),
            "Mounts": [*map(_mount, container.binds), *(_in_memory(folder, container.limits) for folder in container.volatile)],
            "NetworkMode": container.network,
            "LogConfig": {"Type": "local", "Config": {"max-size": f"{LOG_FILE_MIB}m", "max-file": "2", "compress": "false"}},
            "RestartPolicy": {"Name": "no"},
        },
    }


def _program(container: Container) -> dict[str, Any]:
    if container.foreign:
        # An empty Entrypoint would be filled with the image's own; its health check would be run by the daemon.
        return {"Entrypoint": list(container.argv), "Cmd": [], "Healthcheck": {"Test": ["NONE"]}}
    return {"Entrypoint": None, "Cmd": list(container.argv)}


def _in_memory(folder: str, limits: Limits) -> dict[str, Any]:
    options = {"SizeBytes": limits.scratch_bytes, "Mode": 0o1777}
    return {"Type": "tmpfs", "Target": folder, "TmpfsOptions": options}


def _confinement(scratch_bytes: int) -> dict[str, Any]:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "UsernsMode": "host",
        "IpcMode": "private",
        "PidMode": "",
        "Init": True,
        "Tmpfs": {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={scratch_bytes}"},  # noqa: S108 - a private one, inside
        "ShmSize": scratch_bytes,
        "OomScoreAdj": OUT_OF_MEMORY_SCORE,
    }


def _bounds(limits: Limits) -> dict[str, Any]:
    return {
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": limits.cpu_millicores * 1_000_000,
        "CpuShares": cpu_shares(limits.cpu_weight),
        "PidsLimit": limits.pids,
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }


def _mount(bind: Bind) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": bind.source,
        "Target": bind.target,
        "ReadOnly": not bind.writable,
        "BindOptions": {"Propagation": "rprivate"},
    }


def network_name(tag: str, uid: int) -> str:
    """One network a tenant: the uid is what tells tenants apart, for instances and builds alike."""
    return f"sw-{tag}-{uid}"


def bridge_pattern(tag: str) -> str:
    """What the names of this platform's bridges begin with, as nftables writes it."""
    return f"sd{tag}*"


def bridge_name(tag: str, place: int) -> str:
    """The interface of network number *place* (0–1023); 13 of the 15 characters that the kernel takes."""
    return f"sd{tag}{place:03x}"


def subnet_at(tag: str, place: int) -> ipaddress.IPv4Network:
    """The addresses of network number *place*, from the platform's own slice of ``SITE_NETWORKS``."""
    slices = 2 ** (SLICE_PREFIX - SITE_NETWORKS.prefixlen)
    size = 2 ** (32 - SLICE_PREFIX)
    first = int(SITE_NETWORKS.network_address) + int(tag, 16) % slices * size + place * 2 ** (32 - SITE_PREFIX)
    return ipaddress.IPv4Network((first, SITE_PREFIX))


def network_body(tag: str, uid: int, place: int) -> dict[str, Any]:
    """The body of POST /networks/create: a bridge of its own, whose members do not reach each other."""
    return {
        "Name": network_name(tag, uid),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": False,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": str(subnet_at(tag, place))}]},
        "Labels": {PLATFORM_LABEL: tag},
        "Options": {
            "com.docker.network.bridge.name": bridge_name(tag, place),
            "com.docker.network.bridge.enable_icc": "false",
        },
    }
