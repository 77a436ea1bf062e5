"""Names of branches that people type. git's own rules (git-check-ref-format(1)), and a little narrower."""

from __future__ import annotations

import re

from sitewright.errors import InvalidValueError

LONGEST = 200
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@#=,-]*")


def check_branch_name(name: str) -> None:
    """Raise InvalidValueError, in words, unless *name* can be a branch that the platform makes or follows."""
    parts = name.split("/")
    fine = len(name) <= LONGEST and all(_PART.fullmatch(part) and not part.endswith((".", ".lock")) for part in parts)
    if not fine or ".." in name or "@{" in name:
        raise InvalidValueError(
            f"“{name[:60]}” cannot be a branch.",
            details="It is made of letters, digits and ._+@#=,- between slashes, and no part begins with a dot or ends with .lock.",
            resolution="Try, for example, “staging” or “alice/new-menu”.",
        )
