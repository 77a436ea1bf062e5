"""Whether this machine can run the platform: facts in, findings out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sitewright.up.survey import Facts

LEAST_FREE_BYTES = 1024**3


class Weight(StrEnum):
    """What a finding means for `up`."""

    STOP = "stop"
    """It cannot start."""
    WEAKER = "weaker"
    """It runs, and this is what is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and one on what to do about it."""

    code: str
    weight: Weight
    message: str
    resolution: str


def _stop(code: str, message: str, resolution: str) -> Finding:
    return Finding(code, Weight.STOP, message, resolution)


def _place(facts: Facts) -> list[Finding]:
    found: list[Finding] = []
    if facts.home_problem:
        found.append(
            _stop(
                "home",
                f"The data folder {facts.home} cannot be used: {facts.home_problem}.",
                "Choose another one with SITEWRIGHT_HOME, or change the folder's owner.",
            )
        )
    elif facts.other_up:
        found.append(
            _stop(
                "running",
                f"A platform with the data folder {facts.home} is running already (process {facts.other_up}).",
                "Use it; give it this version and these settings with `sitewright restart`, without a failed request; end it with"
                " `sitewright down`; or start another one with its own SITEWRIGHT_HOME and SITEWRIGHT_HTTP_PORT.",
            )
        )
    if facts.free_bytes < LEAST_FREE_BYTES:
        found.append(
            _stop(
                "disk",
                f"The disk of {facts.home} has {facts.free_bytes // 1024**2} MB left; 1 GB is the least.",
                "Free some space, or choose a folder on another disk with SITEWRIGHT_HOME.",
            )
        )
    if facts.port_problem and not facts.other_up:
        found.append(
            _stop(
                "port",
                f"Nothing can listen on {facts.address} port {facts.port}: {facts.port_problem}.",
                "End that program, or choose another port: `sitewright up --http-port 8080` (or SITEWRIGHT_HTTP_PORT=8080).",
            )
        )
    return found


def _tools(facts: Facts) -> list[Finding]:
    found: list[Finding] = []
    needed = [name for name in facts.missing if name not in facts.spared]
    if needed and not facts.can_install:
        names = " ".join(needed)
        found.append(_stop("packages", f"System packages are missing: {names}.", f"Run `sudo apt-get install -y {names}` and start again."))
    if facts.python_unreachable:
        found.append(
            _stop(
                "python",
                f"The Python of .venv is behind {facts.python_unreachable}, which other users, such as the manager's, cannot enter.",
                "Remove .venv and start again with a system Python, such as SITEWRIGHT_PYTHON=/usr/bin/python3.",
            )
        )
    if facts.engine == "docker" and facts.docker_problem:
        found.append(
            _stop(
                "docker",
                f"The Docker Engine does not answer: {facts.docker_problem}.",
                "Start it, name its address with SITEWRIGHT_DOCKER_HOST, or use the built-in sandbox (leave --engine out).",
            )
        )
    if facts.engine == "sandbox" and facts.namespaces_problem:
        found.append(
            _stop(
                "namespaces",
                f"The kernel refuses to make a sandbox: {facts.namespaces_problem}.",
                "Run as root, or allow user namespaces (`sudo sysctl kernel.unprivileged_userns_clone=1`, and on Ubuntu"
                " `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`); inside a container, start it with --privileged.",
            )
        )
    return found


def check(facts: Facts) -> tuple[Finding, ...]:
    """Everything that keeps the platform from starting, then what is weaker than it could be."""
    found = _place(facts) + _tools(facts)
    if lacking := [name for name in facts.missing if name in facts.spared]:
        names = " ".join(lacking)
        found.append(
            Finding(
                "files-packages",
                Weight.WEAKER,
                f"Without {names} nobody copies files into sites by sftp, scp or rsync.",
                f"Run `sudo apt-get install -y {names}`.",
            )
        )
    if facts.ssh_problem and not facts.other_up:
        found.append(
            Finding(
                "ssh-port",
                Weight.WEAKER,
                f"There is no SSH door, because nothing can listen on port {facts.ssh_port}: {facts.ssh_problem}.",
                "Choose another port with SITEWRIGHT_SSH_PORT, or 0 for none. Git works over HTTP all the same.",
            )
        )
    if not facts.root:
        found.append(
            Finding(
                "user",
                Weight.WEAKER,
                "Not root: all sites run as your own user, without hard limits of memory and CPU; the router does not come first.",
                "For people you do not trust, run `sudo ./sitewright up`.",
            )
        )
        if facts.engine == "sandbox" and not facts.user_network:
            found.append(
                Finding(
                    "user-network",
                    Weight.WEAKER,
                    "slirp4netns is missing: sites and builds have no network, so an app that needs packages cannot be built.",
                    "Run `sudo apt-get install -y slirp4netns`.",
                )
            )
    return tuple(found)


def blocking(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those that keep it from starting."""
    return tuple(finding for finding in findings if finding.weight is Weight.STOP)
