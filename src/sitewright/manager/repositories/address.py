"""Reading what somebody typed as the address of a repository. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sitewright.errors import InvalidValueError
from sitewright.manager.repositories.models import Vendor

_SHORT = re.compile(r"(?:([A-Za-z0-9_][A-Za-z0-9_.-]{0,31})@)?([A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?!/)([^\s:]+)")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PATH = re.compile(r"[A-Za-z0-9_.~%+-]+(/[A-Za-z0-9_.~%+-]+)*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
LONGEST = 500
_KNOWN = {"github.com": Vendor.GITHUB, "gitlab.com": Vendor.GITLAB, "codeberg.org": Vendor.GITEA, "gitea.com": Vendor.GITEA}
_LABELS = {"github": Vendor.GITHUB, "gitlab": Vendor.GITLAB, "gitea": Vendor.GITEA, "forgejo": Vendor.GITEA}


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """``url`` is what git fetches, without any password; ``project`` the path as the vendor writes it, `owner/name`."""

    url: str
    scheme: str
    host: str
    port: int
    project: str

    @property
    def guess(self) -> Vendor:
        """Whose it probably is, by the name of the host."""
        return _KNOWN.get(self.host) or _LABELS.get(self.host.split(".")[0], Vendor.PLAIN)

    def api_url(self, vendor: Vendor) -> str:
        """Where that vendor's interface is, by its convention; "" for a plain server. SSH addresses lead to the web's usual port."""
        if vendor is Vendor.PLAIN:
            return ""
        if vendor is Vendor.GITHUB and self.host == "github.com":
            return "https://api.github.com"
        scheme, port = ("https", 0) if self.scheme == "ssh" else (self.scheme, self.port)
        root = f"{scheme}://{self.host}" + (f":{port}" if port else "")
        return root + {Vendor.GITHUB: "/api/v3", Vendor.GITLAB: "/api/v4", Vendor.GITEA: "/api/v1"}[vendor]


def parse(text: str) -> RepositoryAddress:
    """https://…, http://…, ssh://git@… or git@host:owner/name.git. Raises InvalidValueError; nothing of a password is repeated in it."""
    given = text.strip()
    if not given or len(given) > LONGEST or not given.isascii() or not given.isprintable():
        raise _wrong("It is at most 500 plain characters.")
    short = _SHORT.fullmatch(given) if "://" not in given else None
    if short is not None:
        return _built("ssh", short[1] or "git", short[2].lower(), 0, short[3])
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").lower(), parts.port or 0
    except ValueError as error:
        raise _wrong("Its host or port cannot be read.") from error
    if parts.scheme not in {"http", "https", "ssh"}:
        raise _wrong("It begins with https:// or ssh://.")
    if parts.query or parts.fragment:
        raise _wrong("It has no ? and no #.")
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise InvalidValueError(
            "The address must not hold a name or password.",
            details="It would be shown to everybody in the team.",
            resolution="Give the token beside the address; it is kept encrypted.",
        )
    return _built(parts.scheme, parts.username or "git", host, port, parts.path)


def parse_api(text: str) -> str:
    """The address of a vendor's interface: https:// or http://, perhaps without a path. Raises InvalidValueError."""
    found = parse(f"{text.strip().rstrip('/')}/x")
    if found.scheme == "ssh":
        raise _wrong("It begins with https://.")
    return found.url.removesuffix("/x")


def _built(scheme: str, user: str, host: str, port: int, path: str) -> RepositoryAddress:
    clean = path.strip("/")
    if not _HOST.fullmatch(host) or ".." in host:
        raise _wrong("Its host is no host name.")
    if not _PATH.fullmatch(clean) or any(part in {".", "..", ".git"} or part.startswith("-") for part in clean.split("/")):
        raise _wrong("Its path holds something that it cannot.")
    if not _USER.fullmatch(user):
        raise _wrong("Its user name cannot be read.")
    at = f"{user}@" if scheme == "ssh" else ""
    place = f"{host}:{port}" if port else host
    return RepositoryAddress(f"{scheme}://{at}{place}/{clean}", scheme, host, port, clean.removesuffix(".git"))


def _wrong(why: str) -> InvalidValueError:
    return InvalidValueError(
        "This is not the address of a repository.",
        details=why,
        resolution="Try, for example, “https://example.org/alice/notes.git” or “git@example.org:alice/notes.git”.",
    )
