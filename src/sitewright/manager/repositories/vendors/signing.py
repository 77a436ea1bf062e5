"""Signatures: made, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re

_HEX = re.compile(r"[0-9a-f]{64}")


def digest(secret: str, body: bytes) -> str:
    """HMAC-SHA-256 in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(secret: str, body: bytes, given: str) -> bool:
    """Whether *given* is the signature. It is computed whatever was given; an empty secret signs nothing."""
    expected = digest(secret, body)
    return bool(secret) & hmac.compare_digest(expected, given if _HEX.fullmatch(given) else "0" * 64)


def same(secret: str, given: str) -> bool:
    """Whether *given* is the secret itself, compared by digests so that its length does not show either."""
    mine = hashlib.sha256(secret.encode()).digest()
    theirs = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    return bool(secret) & hmac.compare_digest(mine, theirs)
