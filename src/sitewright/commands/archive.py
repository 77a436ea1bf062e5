"""Argv for tar, as it is used inside a sandbox for droplets and caches."""

from __future__ import annotations

TAR = "/usr/bin/tar"


def unpack(archive: str, folder: str) -> tuple[str, ...]:
    """Unpack an archive that the platform itself made. Files get the time of unpacking: a web server tells versions by it."""
    return (TAR, "--extract", f"--file={archive}", f"--directory={folder}", "--touch", "--no-same-owner", "--preserve-permissions")
