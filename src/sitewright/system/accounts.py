"""Which user each part runs as.

As root: nginx workers are `sitewright-router`, manager and bus are `sitewright`, site n is uid_base + n, the node process stays root.
As an ordinary user everything is that user. Group `sitewright-router` may enter a site's folder to read static files and sockets; nobody
else may.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

MANAGER_USER = "sitewright"
ROUTER_USER = "sitewright-router"


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its main group, as numbers."""

    name: str
    uid: int
    gid: int


def is_root() -> bool:
    """Whether this process may change users."""
    return os.geteuid() == 0


def _named(name: str) -> Account:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return current_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def current_account() -> Account:
    """Whoever runs this process."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return Account(name, os.geteuid(), os.getegid())


def manager_account() -> Account:
    """Who the manager and the bus run as; the current user when not root or before `up` has made the account."""
    return _named(MANAGER_USER) if is_root() else current_account()


def router_account() -> Account:
    """Who nginx's workers run as; the current user when not root or before `up` has made the account."""
    return _named(ROUTER_USER) if is_root() else current_account()


def tenant_uid(uid_base: int, number: int) -> int:
    """The uid (and gid) that site *number* runs as; the current user when not root."""
    return uid_base + number if is_root() else os.geteuid()
