"""Public keys with which people come to the SSH door."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.db import IntegrityError, transaction
from django.utils import timezone

from sitewright.errors import ConflictError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import SshKey, User

KINDS = frozenset({"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"})
SECURITY_KEYS = frozenset({"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"})
"""Keys that live in a small device."""
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 16_384
MOST_KEYS = 50
"""Of one person."""
LONGEST = 16 * 1024
USED_NOTE_SECONDS = 60
ADVICE = "Make one with `ssh-keygen -t ed25519` and give the line in ~/.ssh/id_ed25519.pub."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that was read. ``line`` is `KIND BASE64`; ``comment`` is what stood behind it."""

    line: str
    fingerprint: str
    comment: str


def parse_key(text: str) -> PublicKey:
    """Read one line of a .pub file. Raises InvalidValueError for anything else, in words that never repeat what was given: people paste
    their secret key by mistake."""
    if "PRIVATE KEY" in text:
        raise InvalidValueError(
            "That is the secret half of a key. It was not kept.",
            details="Whoever has seen it can sign in as you.",
            resolution="Give the line in the file that ends with .pub.",
        )
    lines = [line.strip() for line in text.strip().splitlines() if line.strip() and not line.strip().startswith("#")]
    if len(text) > LONGEST or len(lines) != 1:
        raise InvalidValueError("One public key is needed, on one line.", resolution=ADVICE)
    kind, _, rest = lines[0].partition(" ")
    body, _, comment = rest.strip().partition(" ")
    if kind not in KINDS | SECURITY_KEYS:
        raise InvalidValueError(
            "This kind of key is not taken." if kind.startswith(("ssh-", "ecdsa-")) else "That does not look like a public key.",
            details="Ed25519, ECDSA, security keys and RSA are.",
            resolution=ADVICE,
        )
    blob = _blob(kind, body)
    if kind in KINDS:
        _check_strength(f"{kind} {body}")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(f"{kind} {base64.b64encode(blob).decode()}", f"SHA256:{digest}", comment.strip()[:100])


def _blob(kind: str, body: str) -> bytes:
    """The key's bytes, which name its kind once more (RFC 4253, section 6.6)."""
    broken = InvalidValueError("This key is incomplete.", details="A part of the line is missing or was changed.", resolution=ADVICE)
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise broken from error
    name = kind.encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name or len(blob) < 4 + len(name) + 36:
        raise broken
    return blob


def _check_strength(line: str) -> None:
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidValueError("This key cannot be read.", resolution=ADVICE) from error
    if isinstance(key, RSAPublicKey) and not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        words = f"An RSA key of {key.key_size} bits is too weak." if key.key_size < LEAST_RSA_BITS else "This RSA key is too large."
        raise InvalidValueError(words, details=f"{LEAST_RSA_BITS} bits is the least.", resolution=ADVICE)


def add_key(user: User, text: str, label: str = "") -> SshKey:
    """Let *user* in with that key. Raises InvalidValueError, ConflictError when it is somebody's already."""
    key = parse_key(text)
    if SshKey.objects.filter(user=user).count() >= MOST_KEYS:
        raise ConflictError(f"You have {MOST_KEYS} keys already.", resolution="Delete one that you do not use any more.")
    taken = ConflictError(
        "This key is in use already.",
        details="It is yours, or somebody else has it in their account; a key belongs to one person.",
        resolution="Make another one with `ssh-keygen -t ed25519`.",
    )
    try:
        with transaction.atomic():
            return SshKey.objects.create(
                user=user, label=(label.strip() or key.comment or "key")[:100], public_key=key.line, fingerprint=key.fingerprint
            )
    except IntegrityError as error:
        raise taken from error


def delete_key(user: User, key_id: int) -> SshKey:
    """It lets nobody in any more. Raises NotFoundError when *user* has no such one."""
    row = SshKey.objects.filter(user=user, id=key_id).first()
    if row is None:
        raise NotFoundError("There is no such key, or it is not yours.")
    row.delete()
    return row


def key_owner(fingerprint: str, address: str = "", *, used: bool = False) -> SshKey:
    """The key with its owner; with *used* its last use is noted, at most once a minute. Raises NotFoundError for nobody's."""
    row = SshKey.objects.select_related("user").filter(fingerprint=fingerprint, user__is_active=True).first()
    if row is None:
        raise NotFoundError("This key is nobody's.")
    now = timezone.now()
    if used and (
        row.last_used_at is None or row.last_used_from != address or row.last_used_at < now - timedelta(seconds=USED_NOTE_SECONDS)
    ):
        SshKey.objects.filter(pk=row.pk).update(last_used_at=now, last_used_from=address[:64])
    return row
