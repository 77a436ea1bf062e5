"""Deploy keys: made here, one a connection, so that the private half is never anybody's but the platform's."""

from __future__ import annotations


def make_key(comment: str) -> tuple[str, str]:
    """A fresh ed25519 pair in OpenSSH's form: the private half, and the public one as a line with *comment*."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only where it is needed: it costs 10 MB
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"
