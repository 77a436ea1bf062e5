"""Where builds get packages from, and whom they trust: from the settings, else from the machine's own pip and npm configuration."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sitewright.config.settings import Settings
from sitewright.engines.environment import CA_BUNDLE, CA_VARIABLES


def network_environment(settings: Settings, environment: Mapping[str, str], home: Path) -> tuple[tuple[str, str], ...]:
    """Variables that every build gets. *environment* and *home* are the platform's own; addresses found there are passed on only when they
    are http(s) and hold no password: what the operator keeps for himself is not the tenants'."""
    found: dict[str, str] = {}
    if Path(CA_BUNDLE).exists():
        found.update(dict.fromkeys(CA_VARIABLES, CA_BUNDLE))
    index = settings.package_index or _public(_pip_index(environment, home))
    if index:
        found.update(UV_DEFAULT_INDEX=index, PIP_INDEX_URL=index)
    registry = settings.npm_registry or _public(_npm_registry(environment, home))
    if registry:
        found["NPM_CONFIG_REGISTRY"] = registry
    return tuple(sorted(found.items()))


def _public(address: str) -> str:
    parts = urlsplit(address)
    return address if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else ""


def _pip_index(environment: Mapping[str, str], home: Path) -> str:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if environment.get(name):
            return environment[name]
    for file in (home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        address = parser.get("global", "index-url", fallback="").strip()
        if address:
            return address
    return ""


def _npm_registry(environment: Mapping[str, str], home: Path) -> str:
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if environment.get(name):
            return environment[name]
    for file in (home / ".npmrc", Path("/etc/npmrc")):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "registry" and value.strip():
                return value.strip()
    return ""


def machine_network_environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The same for the machine and user that this process runs on."""
    return network_environment(settings, os.environ, Path.home())
