"""The manager's key file: one Fernet key a line, the newest first. From it follow Django's secret key and the encryption of variables.

Adding a line on top rotates: old values stay readable, new ones use the new key.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.system.files import write_atomic

KEY_FILE = "secret.key"


def key_file(paths: Paths) -> Path:
    """Where the keys are: 0600, below the manager's own folder."""
    return paths.database.parent / KEY_FILE


def read_keys(paths: Paths) -> tuple[str, ...]:
    """The keys, newest first; () before setup has made them."""
    try:
        text = key_file(paths).read_text()
    except FileNotFoundError:
        return ()
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def ensure_keys(paths: Paths) -> tuple[str, ...]:
    """The keys; made now if there are none."""
    keys = read_keys(paths)
    if keys:
        return keys
    key = new_key()
    write_atomic(key_file(paths), f"{key}\n".encode(), mode=0o600)
    return (key,)


def new_key() -> str:
    """A fresh Fernet key."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - only where it is needed: it costs 10 MB

    return Fernet.generate_key().decode()


def django_key(key: str) -> str:
    """Django's SECRET_KEY that follows from a key."""
    return hashlib.sha256(b"sitewright django " + key.encode()).hexdigest()


@cache
def _fernet(keys: tuple[str, ...]) -> object:
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

    return MultiFernet([Fernet(key) for key in keys])


def keyed_digest(keys: tuple[str, ...], text: str) -> str:
    """A digest of *text* that nobody can guess *text* by who has not the key file. The oldest key makes it, so that it stays the same when
    a new key is put on top."""
    return hmac.new(b"sitewright digest " + keys[-1].encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def encrypt(keys: tuple[str, ...], text: str) -> str:
    """*text* under the newest key, as text for a database column."""
    return str(_fernet(keys).encrypt(text.encode()).decode())  # type: ignore[attr-defined]


def decrypt(keys: tuple[str, ...], text: str) -> str:
    """What ``encrypt`` was given. Raises cryptography's InvalidToken when the key is gone."""
    return str(_fernet(keys).decrypt(text.encode()).decode())  # type: ignore[attr-defined]
