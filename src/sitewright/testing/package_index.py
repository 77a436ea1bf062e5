"""Which package index and resolvers this machine uses, for tests that must reach them without naming them."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import urllib.parse
from pathlib import Path

from uv import find_uv_bin


def package_index_host() -> str:
    """The host that this machine's own settings name as package index; else the one that uv says it uses by default."""
    chosen = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or ""
    for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf", Path("/etc/pip.conf")):
        settings = configparser.ConfigParser()
        settings.read(path)
        chosen = chosen or settings.get("global", "index-url", fallback="")
    if not chosen:
        told = subprocess.run((find_uv_bin(), "pip", "install", "--help"), capture_output=True, check=True, text=True).stdout
        (chosen, *_) = re.findall(r"https://[^\s>]+/simple", told)
    host = urllib.parse.urlsplit(chosen).hostname
    assert host is not None, chosen
    return host


def resolvers() -> list[str]:
    """The addresses of the name servers that this machine asks."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]
