"""Where pushes meet previews: the part of the platform that makes them registers itself here, so that neither has to know the other."""

from __future__ import annotations

from collections.abc import Callable

from sitewright.manager.accounts.models import User
from sitewright.manager.sites.models import Site

BranchPushed = Callable[[Site, str, str, User | None], list[str]]
"""Site, branch, commit ("" when it was deleted) and who pushed; answers lines for whoever pushes, [] when there is no preview."""


class _Registered:
    hooks: list[BranchPushed] = []  # noqa: RUF012 - filled once, when the app is ready


def register(hook: BranchPushed) -> None:
    """Call *hook* whenever a branch was pushed that no channel of its own follows. Once, from AppConfig.ready."""
    if hook not in _Registered.hooks:
        _Registered.hooks.append(hook)


def branch_pushed(site: Site, branch: str, commit: str, user: User | None) -> list[str]:
    """Tell everybody who registered; what they have to say."""
    return [line for hook in _Registered.hooks for line in hook(site, branch, commit, user)]
