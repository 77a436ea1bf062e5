"""What every engine makes sure of before it gives an instance or a job its folders."""

from __future__ import annotations

from sitewright.engines.base import Sandboxed
from sitewright.errors import EngineError


def check_mounts(box: Sandboxed) -> None:
    """Raise EngineError that names the folder when a mount's source is not there."""
    for mount in box.mounts:
        if not mount.source.exists():
            raise EngineError(
                f"The folder for {mount.target} is missing.",
                details=str(mount.source),
                resolution="Deploy the site again; if it stays, run `sitewright doctor` on the machine.",
            )
