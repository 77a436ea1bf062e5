"""One module a vendor: whether a web hook is theirs, what it says, and how to tell them something. Nothing here does any I/O."""

from __future__ import annotations

from sitewright.manager.repositories.models import Vendor
from sitewright.manager.repositories.vendors.base import Scheme
from sitewright.manager.repositories.vendors.gitea import Gitea
from sitewright.manager.repositories.vendors.github import GitHub
from sitewright.manager.repositories.vendors.gitlab import GitLab
from sitewright.manager.repositories.vendors.plain import Plain

_SCHEMES: dict[Vendor, Scheme] = {Vendor.GITHUB: GitHub(), Vendor.GITLAB: GitLab(), Vendor.GITEA: Gitea(), Vendor.PLAIN: Plain()}


def scheme(vendor: str) -> Scheme:
    """How that vendor does it. Raises ValueError for a word that is none."""
    return _SCHEMES[Vendor(vendor)]
