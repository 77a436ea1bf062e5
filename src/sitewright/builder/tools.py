"""Things of the platform itself that builds use, laid where every tenant's sandbox can read them and nobody can change them."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

from uv import find_uv_bin

from sitewright.config.paths import Paths
from sitewright.system.ownership import make_folder

TOOLS_TARGET = "/sitewright"
"""Where the folder appears inside."""
_INSIDE = Path(__file__).with_name("inside")


def lay_out_tools(paths: Paths) -> Path:
    """The folder of this version's tools, made if it is missing: `uv` and `inside/`. Blocking: a link, or a copy of 60 MB."""
    uv = Path(find_uv_bin())
    scripts = sorted(_INSIDE.glob("*.py"))
    status = uv.stat()
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    for script in scripts:
        digest.update(script.name.encode() + b"\0" + script.read_bytes())
    folder = paths.tools / digest.hexdigest()[:16]
    if folder.is_dir():
        return folder
    make_folder(paths.tools, 0o711)
    fresh = paths.tools / f".{secrets.token_hex(4)}"
    make_folder(fresh, 0o755)
    make_folder(fresh / "inside", 0o755)
    try:
        (fresh / "uv").hardlink_to(uv)
    except OSError:
        shutil.copyfile(uv, fresh / "uv")
        (fresh / "uv").chmod(0o755)
    for script in scripts:
        shutil.copyfile(script, fresh / "inside" / script.name)
        (fresh / "inside" / script.name).chmod(0o644)
    try:
        fresh.rename(folder)
    except OSError:
        shutil.rmtree(fresh)
        if not folder.is_dir():
            raise
    for old in paths.tools.iterdir():
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    return folder
