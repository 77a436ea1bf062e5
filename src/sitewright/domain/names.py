"""Names as types: a value of these classes has been checked, a plain string has not.

Each class is a ``str``; making one from text that breaks a rule raises ``InvalidValueError`` with the rule in words.
"""

from __future__ import annotations

import re
from typing import Self

from sitewright.errors import InvalidValueError

MAX_HOST_LENGTH = 80
"""Characters of a host name that the router serves. `<run>/r/<host>/15` must fit the 107 bytes of a unix socket path."""

MAX_SITE_NAME_LENGTH = 40
"""Characters of a site name, so that `preview-12--<name>` is still one DNS label (63)."""

_RESERVED = """
account accounts admin administrator api app apps assets auth billing blog cdn cloud console
dashboard default docs example ftp git help host imap internal localhost login logout mail manager
metrics mx nats node ns ns1 ns2 official oauth operator pop postmaster registry root security server
signin signup site sites sitewright smtp ssh sso static status support system team teams test
webmail wpad www
"""

RESERVED_SITE_NAMES = frozenset(_RESERVED.split())
"""Names that a visitor would take for the platform itself (RFC 2142 mailbox names and the platform's own hosts among them)."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "3": "e", "4": "a", "7": "t", "-": ""})


def _skeleton(name: str) -> str:
    """What a hurried reader sees: digits as the letters they look like, `rn` as `m`, `vv` as `w`, no hyphens."""
    return name.translate(_LOOKALIKES).replace("rn", "m").replace("vv", "w")


_RESERVED_SKELETONS = {_skeleton(name): name for name in RESERVED_SITE_NAMES if len(name) > 3}


class _Name(str):
    __slots__ = ()
    kind = "name"
    longest = 63

    def __new__(cls, value: str) -> Self:
        text = str(value)
        cls.check(text)
        return super().__new__(cls, text)

    @classmethod
    def check(cls, text: str) -> None:
        """Raise InvalidValueError unless *text* is one lower-case DNS label (RFC 1123) of at most ``longest`` characters."""
        if not text:
            raise InvalidValueError(f"A {cls.kind} is needed.", resolution="Give it at least one letter or digit.")
        if len(text) > cls.longest:
            shown = text[:20] + "…"
            raise InvalidValueError(
                f"The {cls.kind} “{shown}” has {len(text)} characters; {cls.longest} is the most.", resolution="Choose a shorter one."
            )
        if not _LABEL.fullmatch(text):
            raise InvalidValueError(
                f"“{text}” cannot be a {cls.kind}.",
                details="It may hold lower-case letters a to z, digits and hyphens, and begins and ends with a letter or digit.",
                resolution="Try, for example, “my-site-2”.",
            )


class SiteName(_Name):
    """The name of a site: one DNS label of at most 40 characters, not reserved, nor a look-alike of a reserved one."""

    __slots__ = ()
    kind = "site name"
    longest = MAX_SITE_NAME_LENGTH

    @classmethod
    def check(cls, text: str) -> None:
        super().check(text)
        if "--" in text:
            raise InvalidValueError(
                f"“{text}” cannot be a site name.",
                details="Two hyphens in a row are kept for channel addresses and for names in other scripts (punycode).",
                resolution="Use one hyphen.",
            )
        if text in RESERVED_SITE_NAMES:
            raise InvalidValueError(
                f"“{text}” is reserved.", details="Visitors would take it for the platform itself.", resolution="Choose another name."
            )
        twin = _RESERVED_SKELETONS.get(_skeleton(text))
        if twin is not None:
            raise InvalidValueError(f"“{text}” looks too much like the reserved name “{twin}”.", resolution="Choose another name.")


class ChannelName(_Name):
    """The name of a channel: `production`, `staging`, `preview-12`; one DNS label of at most 20 characters."""

    __slots__ = ()
    kind = "channel name"
    longest = 20


class ProcessType(_Name):
    """A process type of a Procfile: `web`, `worker`; one DNS label of at most 20 characters."""

    __slots__ = ()
    kind = "process type"
    longest = 20


class TeamName(_Name):
    """The name of a team: one DNS label of at most 40 characters."""

    __slots__ = ()
    kind = "team name"
    longest = 40


class HostName(_Name):
    """A host name that a route leads from: DNS labels joined by dots, lower case, no port, at most 80 characters."""

    __slots__ = ()
    kind = "host name"
    longest = MAX_HOST_LENGTH

    @classmethod
    def check(cls, text: str) -> None:
        if len(text) > cls.longest:
            raise InvalidValueError(
                f"The host name has {len(text)} characters; {cls.longest} is the most.", resolution="Use a shorter domain."
            )
        for label in text.split("."):
            if len(label) > 63 or not _LABEL.fullmatch(label):
                raise InvalidValueError(
                    f"“{text[:80]}” is not a host name.",
                    details="It is made of letters, digits and hyphens between dots, without a port or a path.",
                    resolution="Try, for example, “www.example.org”.",
                )


class EnvName(_Name):
    """The name of an environment variable (POSIX): letters, digits and underscores, not beginning with a digit."""

    __slots__ = ()
    kind = "variable name"
    longest = 128
    _pattern = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    taken = frozenset({"PORT", "SOCKET", "HOME", "LISTEN_FDS", "LISTEN_PID", "LD_PRELOAD", "LD_LIBRARY_PATH"})

    @classmethod
    def check(cls, text: str) -> None:
        if not cls._pattern.fullmatch(text) or len(text) > cls.longest:
            raise InvalidValueError(
                f"“{text[:40]}” cannot be a variable name.",
                details="It may hold letters, digits and underscores, and does not begin with a digit.",
                resolution="Try, for example, “API_KEY”.",
            )
        if text in cls.taken or text.startswith("SITEWRIGHT_"):
            raise InvalidValueError(f"“{text}” is set by the platform.", resolution="Choose another name.")


def suggested_site_name(text: str) -> str:
    """A legal site name made from any text (a folder's or repository's name), or "" when nothing is left of it."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_SITE_NAME_LENGTH].strip("-")
    try:
        return SiteName(name)
    except InvalidValueError:
        return ""


def default_host(site: SiteName, channel: ChannelName, domain: str) -> HostName:
    """The address a channel has without a custom domain: `site.domain` in production, else `channel--site.domain`."""
    label = str(site) if channel == "production" else f"{channel}--{site}"
    return HostName(f"{label}.{domain}")
