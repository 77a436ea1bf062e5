"""Addresses, branches and surroundings of git, as it is used inside a sandbox. Argv for repositories are in git_repository.py."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from sitewright.errors import InvalidValueError

GIT = "/usr/bin/git"
PROTOCOLS = ("https", "http", "git")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_SSH = re.compile(r"(?P<who>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<path>[^:@]{1,1000})")


class GitAddress(str):
    """An address that may be cloned from: https, http or git (file too where the operator allows it), with a host and no option in
    disguise."""

    __slots__ = ()

    def __new__(cls, text: str, *, allow_file: bool = False, allow_ssh: bool = False) -> GitAddress:
        """Raises InvalidValueError that says what is wrong. With *allow_ssh* also `ssh://git@host/path` and `git@host:path`."""
        allowed = (*PROTOCOLS, *(("file",) if allow_file else ()), *(("ssh",) if allow_ssh else ()))
        short = _SHORT_SSH.fullmatch(text) if allow_ssh else None
        if short is not None:
            text = f"ssh://{short['who']}@{short['host']}/{short['path'].lstrip('/')}"
        try:
            parts = urlsplit(text)
        except ValueError as error:
            raise _bad_address(text) from error
        plain = text.isprintable() and " " not in text and len(text) <= 2000
        host = parts.hostname or ""
        if (
            not plain
            or text.startswith("-")
            or host.startswith("-")
            or (parts.username or "").startswith("-")
            or parts.scheme not in allowed
            or (parts.scheme != "file" and not host)
        ):
            raise _bad_address(text)
        return super().__new__(cls, text)

    @property
    def protocol(self) -> str:
        """Its scheme."""
        return urlsplit(self).scheme

    @property
    def server(self) -> str:
        """Scheme, host and port, as git names it when it asks for a password."""
        parts = urlsplit(self)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def credential(self) -> tuple[str, str]:
        """User name and password in it, "" where there is none."""
        parts = urlsplit(self)
        return unquote(parts.username or ""), unquote(parts.password or "")

    @property
    def shown(self) -> str:
        """Without user name and password, for logs."""
        parts = urlsplit(self)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class GitRef(str):
    """A branch, tag or full commit id; "" is the default branch."""

    __slots__ = ()

    def __new__(cls, text: str) -> GitRef:
        """Raises InvalidValueError that says what is wrong."""
        if text and (not _REF.fullmatch(text) or ".." in text or "@{" in text or text.endswith((".lock", "/", "."))):
            raise InvalidValueError(
                f"“{text[:60]}” cannot be a branch, tag or commit.", resolution="Write it as git shows it, for example “main” or “v1.2”."
            )
        return super().__new__(cls, text)

    @property
    def is_commit(self) -> bool:
        """Whether it is a full commit id."""
        return bool(_COMMIT.fullmatch(self))


def _bad_address(text: str) -> InvalidValueError:
    return InvalidValueError(
        f"“{text[:100]}” is not an address that git sources can come from.",
        details=f"It must begin with {', '.join(p + '://' for p in PROTOCOLS)} and name a host.",
        resolution="Copy the https address that the repository's page shows for cloning.",
    )


def environment(address: GitAddress) -> tuple[tuple[str, str], ...]:
    """Never ask a person, never read a configuration, only this one protocol (also after redirects)."""
    return (
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "/bin/true"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ALLOW_PROTOCOL", "http:https" if address.protocol in ("http", "https") else address.protocol),
    )
