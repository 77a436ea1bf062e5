"""/auth and /me: signing in from programs, who one is, one's tokens."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from sitewright.errors import NotFoundError
from sitewright.manager.accounts.access import tokens_for
from sitewright.manager.accounts.models import ApiToken
from sitewright.manager.accounts.services import check_password, make_token
from sitewright.manager.api.auth import address_of, person
from sitewright.manager.audit.services import trail

router = Router(tags=["accounts"])


class Credentials(Schema):
    """How to sign in from a program. The label helps to recognise the token later."""

    email: str = Field(max_length=254, examples=["alice@example.org"])
    password: str = Field(max_length=1000)
    label: str = Field("API", max_length=100, examples=["Alice's laptop"])


class NewToken(Schema):
    """The token; it is shown this once."""

    token: str


class TokenIn(Schema):
    """A further token. ``scopes``: `all`, or `read`; ``days``: how long it is valid, for ever without."""

    label: str = Field(max_length=100, examples=["deploy job"])
    scopes: str = "all"
    days: int | None = Field(None, ge=1, le=3650)


class TokenOut(Schema):
    """A token without its secret part."""

    prefix: str
    label: str
    scopes: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenList(Schema):
    """One's own tokens."""

    items: list[TokenOut]
    next: str | None


class Me(Schema):
    """Whoever asks."""

    email: str
    name: str
    admin: bool


@router.post("/auth/tokens", response={201: NewToken}, auth=None, operation_id="signIn")
def sign_in(request: HttpRequest, body: Credentials) -> Status[NewToken]:
    """A token for an e-mail address and a password. Trying often is slowed down (429)."""
    user = check_password(request, body.email, body.password)
    _, text = make_token(user, body.label)
    trail(user, "token.created", name=body.label, address=address_of(request))
    return Status(201, NewToken(token=text))


@router.get("/me", response=Me, operation_id="getMe")
def get_me(request: HttpRequest) -> Me:
    """Who one is."""
    user = person(request)
    return Me(email=user.email, name=user.name, admin=user.is_staff)


@router.get("/me/tokens", response=TokenList, operation_id="listTokens")
def list_tokens(request: HttpRequest) -> TokenList:
    """One's own tokens, newest first."""
    return TokenList(items=[token_out(row) for row in tokens_for(person(request)).order_by("-created_at")], next=None)


@router.post("/me/tokens", response={201: NewToken}, operation_id="createToken")
def create_token(request: HttpRequest, body: TokenIn) -> Status[NewToken]:
    """A further token."""
    _, text = make_token(person(request), body.label, scopes=body.scopes, days=body.days)
    trail(person(request), "token.created", name=body.label, address=address_of(request))
    return Status(201, NewToken(token=text))


@router.delete("/me/tokens/{prefix}", response={204: None}, operation_id="deleteToken")
def delete_token(request: HttpRequest, prefix: str) -> Status[None]:
    """End a token at once."""
    deleted, _ = tokens_for(person(request)).filter(prefix=prefix).delete()
    if not deleted:
        raise NotFoundError("There is no such token, or it is not yours.")
    trail(person(request), "token.deleted", name=prefix, address=address_of(request))
    return Status(204, None)


def token_out(row: ApiToken) -> TokenOut:
    """A row as the API shows it."""
    return TokenOut(
        prefix=row.prefix,
        label=row.label,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
