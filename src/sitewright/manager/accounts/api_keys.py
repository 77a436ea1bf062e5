"""/keys: one's own SSH keys."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from sitewright.manager.accounts.access import keys_for
from sitewright.manager.accounts.models import SshKey
from sitewright.manager.accounts.ssh_keys import add_key, delete_key
from sitewright.manager.api.auth import address_of, person
from sitewright.manager.audit.services import trail

router = Router(tags=["accounts"])


class KeyIn(Schema):
    """A public key: the line in a file that ends with .pub."""

    public_key: str = Field(max_length=20_000, examples=["ssh-ed25519 AAAA… alice@laptop"])
    label: str = Field("", max_length=100, examples=["Alice's laptop"])


class KeyOut(Schema):
    """A key, as its owner sees it. Nobody else does."""

    id: int
    label: str
    kind: str
    fingerprint: str
    public_key: str
    created_at: datetime
    last_used_at: datetime | None
    last_used_from: str


class KeyList(Schema):
    """One's own keys, by label."""

    items: list[KeyOut]
    next: str | None


@router.get("", response=KeyList, operation_id="listKeys")
def list_keys(request: HttpRequest) -> KeyList:
    """One's own SSH keys, and when each was last used."""
    return KeyList(items=[key_out(row) for row in keys_for(person(request))], next=None)


@router.post("", response={201: KeyOut}, operation_id="addKey")
def add(request: HttpRequest, body: KeyIn) -> Status[KeyOut]:
    """Add a key: whoever has its secret half comes in by SSH as this person."""
    row = add_key(person(request), body.public_key, body.label)
    trail(person(request), "key.added", row.fingerprint, row.label, address=address_of(request))
    return Status(201, key_out(row))


@router.delete("/{key_id}", response={204: None}, operation_id="deleteKey")
def delete(request: HttpRequest, key_id: int) -> Status[None]:
    """Nobody comes in with it any more; what is open already stays open until it ends."""
    row = delete_key(person(request), key_id)
    trail(person(request), "key.deleted", row.fingerprint, row.label, address=address_of(request))
    return Status(204, None)


def key_out(row: SshKey) -> KeyOut:
    """A row as the API shows it."""
    return KeyOut(
        id=row.pk,
        label=row.label,
        kind=row.public_key.partition(" ")[0],
        fingerprint=row.fingerprint,
        public_key=row.public_key,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        last_used_from=row.last_used_from,
    )
