"""The door's own keys: made once, kept for as long as the platform, for clients remember them."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from sitewright.config.paths import Paths
from sitewright.system.accounts import is_root, manager_account
from sitewright.system.files import write_atomic

KEY_NAME = "ssh_host_ed25519_key"


def host_key_file(paths: Paths) -> Path:
    """The secret half, 0600, owned by the account that the door runs as."""
    return paths.home / "ssh" / KEY_NAME


def ensure_host_key(paths: Paths) -> Path:
    """Make the key where there is none; an existing one is never changed. An RSA key that an administrator puts beside it (as
    ssh_host_rsa_key) is used too, for old clients."""
    path = host_key_file(paths)
    account = manager_account()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if not path.exists():
        key = ed25519.Ed25519PrivateKey.generate()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        write_atomic(path.with_suffix(".pub"), public + b" sitewright\n", mode=0o644)
        write_atomic(path, private, mode=0o600)
    if is_root():
        for one in (path.parent, path, path.with_suffix(".pub")):
            os.chown(one, account.uid, account.gid, follow_symlinks=False)
    return path


def host_keys(paths: Paths) -> list[str]:
    """Files of all keys that there are, the best first."""
    first = host_key_file(paths)
    return [str(path) for path in (first, first.with_name("ssh_host_rsa_key")) if path.exists()]
