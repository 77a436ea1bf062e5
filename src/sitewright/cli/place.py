"""Which platform the commands talk to, and with which token."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sitewright.config.paths import Paths, default_home, default_run
from sitewright.errors import InvalidValueError, SitewrightError, UnavailableError

if TYPE_CHECKING:
    from sitewright.config.settings import Settings


class NotSignedInError(SitewrightError):
    """You are not signed in."""

    code = "not_signed_in"
    exit_code = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A platform's address. ``connect`` is host:port to connect to instead of what DNS says, "" to ask DNS."""

    url: str
    token: str = ""
    connect: str = ""


def config_file() -> Path:
    """~/.config/sitewright/tokens.json: {"current": url, "tokens": {url: token}}; 0600."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "sitewright" / "tokens.json"


def _stored() -> dict[str, object]:
    try:
        body = json.loads(config_file().read_text())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _tokens(stored: dict[str, object]) -> dict[str, str]:
    tokens = stored.get("tokens")
    return {str(url): str(token) for url, token in tokens.items()} if isinstance(tokens, dict) else {}


def remember(url: str, token: str) -> None:
    """Store the token for *url* and make it the current platform; "" as token forgets it."""
    from sitewright.system.files import write_atomic  # noqa: PLC0415 - most commands store nothing

    tokens = _tokens(_stored())
    tokens.pop(url, None)
    if token:
        tokens[url] = token
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, json.dumps({"current": url if token else "", "tokens": tokens}, indent=1).encode(), mode=0o600)


def normal_url(text: str) -> str:
    """The address in the one form that is stored: scheme://host[:port]. Raises InvalidValueError."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise InvalidValueError(f"“{text}” is not an address of a platform.", resolution="Try, for example, https://sites.example.org.")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def connect_for(url: str) -> str:
    """NAME.localhost is this machine by definition; not every resolver knows it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return f"127.0.0.1:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return ""


def _local_paths() -> Paths:
    home = Path(os.environ.get("SITEWRIGHT_HOME") or default_home()).expanduser().absolute()
    return Paths(home=home, run=Path(os.environ.get("SITEWRIGHT_RUN") or default_run(home)))


def _read_local(paths: Paths) -> Place | None:
    try:
        url, _, connect = paths.address_file.read_text().strip().partition("\n")
        token = paths.local_token.read_text().strip()
    except OSError:
        return None
    return Place(url, token, connect)


def local_place(settings: Settings) -> Place:
    """The platform of these settings on this machine. Raises UnavailableError when it was never started or belongs to another user."""
    place = _read_local(settings.paths)
    if place is None:
        raise UnavailableError("There is no platform of this user on this machine.", resolution="Start one with `sitewright up`.")
    return place


def current_place() -> Place:
    """SITEWRIGHT_URL (with SITEWRIGHT_TOKEN), else this machine's own platform when SITEWRIGHT_HOME is set, else the one signed in to
    last, else this machine's own. Raises NotSignedInError."""
    stored = _stored()
    tokens = _tokens(stored)
    named = os.environ.get("SITEWRIGHT_URL", "")
    if named:
        url = normal_url(named)
        return Place(url, os.environ.get("SITEWRIGHT_TOKEN", "") or tokens.get(url, ""), connect_for(url))
    local = _read_local(_local_paths())
    current = str(stored.get("current") or "")
    if local is not None and (os.environ.get("SITEWRIGHT_HOME") or not current):
        return local
    if current:
        return Place(current, tokens.get(current, ""), connect_for(current))
    raise NotSignedInError(
        "It is not known which platform you mean.",
        resolution="Start one here with `sitewright up`, or sign in to one with `sitewright login URL`.",
    )
