"""Identifiers: short, unguessable, safe in file names, host names and subjects."""

from __future__ import annotations

import re
import secrets

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_LENGTH = 12
_ID = re.compile(rf"[{ALPHABET}]{{{ID_LENGTH}}}")


def new_id() -> str:
    """12 characters of 32: 60 bits from the system's random source."""
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def is_id(text: str) -> bool:
    """Whether *text* has the form of an id made here; check before using one in a path."""
    return bool(_ID.fullmatch(text))
