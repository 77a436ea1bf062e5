"""git over HTTP: `/SITE.git/…` on the manager's host, as an ASGI application of its own, for bodies go through it in both directions.

Only the "smart" protocol (gitprotocol-http) is spoken. Who asks is proven by an API token as the password, whatever the user name, or as
`Authorization: Bearer`. Browsers' sessions do not count here, so that no page can make a browser push. An error's text is plain, for git
shows that as `remote: …`.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from django.db import Error, connection

from sitewright.bus.messages import GitService
from sitewright.domain.identity import new_id
from sitewright.errors import ForbiddenError, NotFoundError, QuotaError, SitewrightError, UnavailableError
from sitewright.manager.accounts.models import User
from sitewright.manager.accounts.services import token_of
from sitewright.manager.audit.services import trail
from sitewright.manager.doors.body import Body, TooLargeError
from sitewright.manager.doors.opening import GitAsked, Opening, git_opening
from sitewright.manager.doors.talk import Talk, talk

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PATH = re.compile(r"/(?P<site>[A-Za-z0-9-]{1,64})\.git(?P<rest>/.*)?")
_PROTOCOL = re.compile(r"version=\d(:[a-z0-9=]+)*")
SERVICES = {"git-upload-pack": GitService.UPLOAD_PACK, "git-receive-pack": GitService.RECEIVE_PACK}
STATUS = {NotFoundError: 404, ForbiddenError: 403, UnavailableError: 503, QuotaError: 429}
SHOWN_BYTES = 4096
"""Of git's standard error, when it has said nothing else."""


class _ProblemError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, words: str, *headers: tuple[str, str]) -> None:
        super().__init__(words)
        self.status, self.words, self.headers = status, words, headers


@dataclass(slots=True)
class _Asked:
    """A request that was understood so far."""

    site: str
    service: GitService
    advertise: bool
    headers: dict[str, str]
    protocol: str = ""
    session: str = field(default_factory=new_id)

    @property
    def name(self) -> str:
        """As git writes it: `git-upload-pack`."""
        return f"git-{self.service.value}"

    @property
    def pushes(self) -> bool:
        """Whether something may change."""
        return self.service is GitService.RECEIVE_PACK


def is_git(path: str) -> bool:
    """Whether that path is git's."""
    return _PATH.fullmatch(path) is not None


async def git(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    try:
        asked = _read(scope)
        opening = await sync_to_async(_let_in)(asked)
        await _serve(asked, opening, receive, send)
    except _ProblemError as problem:
        await _say(send, problem)
    except TooLargeError as error:
        await _say(send, _ProblemError(413, str(error)))
    except SitewrightError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
        words = "\n".join(part for part in (error.message, error.details, error.resolution) if part)
        await _say(send, _ProblemError(status, words, *([("retry-after", "2")] if status == 503 else [])))


def _read(scope: Scope) -> _Asked:
    """What is asked for. Raises _ProblemError."""
    found = _PATH.fullmatch(scope["path"])
    assert found is not None, "only git's paths come here"
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    rest, method = found["rest"] or "", scope["method"]
    if rest.startswith("/info/lfs"):
        raise _lfs()
    protocol = headers.get("git-protocol", "")
    site, protocol = found["site"].lower(), protocol if _PROTOCOL.fullmatch(protocol) else ""
    if rest == "/info/refs" and method == "GET":
        service = SERVICES.get(parse_qs(scope["query_string"].decode("latin-1")).get("service", [""])[0])
        if service is None:
            raise _ProblemError(403, "Only git's “smart” protocol is spoken here; a git of this century does it by itself.")
        return _Asked(site, service, True, headers, protocol)
    service = SERVICES.get(rest.removeprefix("/"))
    if service is None:
        raise _ProblemError(404, "There is nothing here. The address of a repository ends with .git.")
    if method != "POST":
        raise _ProblemError(405, "That is for git only.", ("allow", "POST"))
    if headers.get("content-type", "") != f"application/x-git-{service.value}-request":
        raise _ProblemError(415, "That is for git only.")
    return _Asked(site, service, False, headers, protocol)


def _lfs() -> _ProblemError:
    words = "Large File Storage (LFS) is not offered here. Commit the files as they are, or keep them in the site's data folder."
    return _ProblemError(501, json.dumps({"message": words}), ("content-type", "application/vnd.git-lfs+json"))


def _let_in(asked: _Asked) -> Opening:
    """Whether they may. No request of Django's is around this, which would see to a connection that the database has closed."""
    try:
        return _opened(_person(asked), asked)
    except Error:
        log.warning("git.database_asked_again", exc_info=True)
        connection.close()
    return _opened(_person(asked), asked)


def _person(asked: _Asked) -> User:
    """Whose token came along. Raises _ProblemError."""
    row = next((found for text in _secrets(asked.headers.get("authorization", "")) if (found := token_of(text)) is not None), None)
    if row is None:
        words = "Sign in with an API token as the password; the user name is anything. `sitewright token` makes one."
        raise _ProblemError(401, words, ("www-authenticate", 'Basic realm="Sitewright", charset="UTF-8"'))
    if asked.pushes and "all" not in row.scopes.split():
        raise _ProblemError(403, "This token may only read. Make one with the scope “all” to push.")
    return row.user


def _secrets(header: str) -> list[str]:
    """What may be a token in an Authorization header."""
    kind, _, rest = header.partition(" ")
    if kind.lower() == "bearer":
        return [rest.strip()]
    if kind.lower() != "basic":
        return []
    try:
        user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return []
    # Some programs put the token where the name belongs.
    return [password, user]


def _opened(user: User, asked: _Asked) -> Opening:
    """Whether they may, written down."""
    git_asked = GitAsked(asked.service, asked.session, asked.protocol, stateless=True, advertise=asked.advertise)
    opening = git_opening(user, asked.site, git_asked)
    if asked.pushes != asked.advertise:  # a push is its second request, reading is known from the first
        site = opening.channel.site
        action = "git.write" if asked.pushes else "git.read"
        trail(user, action, site.id, site.name, channel=opening.channel.name, address=asked.headers.get("x-real-ip", ""))
    return opening


async def _serve(asked: _Asked, opening: Opening, receive: Receive, send: Send) -> None:
    async with talk(opening) as stream:
        if asked.advertise:
            await stream.close_input()
        else:
            body = Body(receive, gzipped=asked.headers.get("content-encoding", "") in {"gzip", "x-gzip"})
            stream.feed(body, until_gone=not asked.pushes)
        await _answer(asked, stream, send)


async def _answer(asked: _Asked, stream: Talk, send: Send) -> None:
    """Pass on what git says; its first word decides whether it is a success."""
    first = await stream.read()
    if not first and (code := await stream.wait()) != 0:
        said = await stream.errors(SHOWN_BYTES)
        log.info("git.http_failed", extra={"site": asked.site, "code": code})
        raise _ProblemError(500, said or "git ended without an answer; try again.")
    kind = "advertisement" if asked.advertise else "result"
    await send({"type": "http.response.start", "status": 200, "headers": _headers(f"application/x-git-{asked.service.value}-{kind}")})
    if asked.advertise and not ("version=2" in asked.protocol and not asked.pushes):
        line = f"# service={asked.name}\n"
        first = f"{len(line) + 4:04x}{line}0000".encode() + first
    while first:
        await send({"type": "http.response.body", "body": first, "more_body": True})
        first = await stream.read()
    await stream.wait()
    await send({"type": "http.response.body", "body": b""})


def _headers(kind: str, *more: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    fixed = {"content-type": kind, "cache-control": "no-cache, max-age=0, must-revalidate", "x-accel-buffering": "no"} | dict(more)
    return [(name.encode(), value.encode()) for name, value in fixed.items()]


async def _say(send: Send, problem: _ProblemError) -> None:
    headers = _headers("text/plain; charset=utf-8", ("connection", "close"), *problem.headers)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{problem.words}\n".encode()})
