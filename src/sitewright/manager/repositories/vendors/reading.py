"""Reading what a stranger has written: every value has the type and length that was asked for, or is the empty one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from sitewright.domain.git import BRANCHES, TAGS
from sitewright.manager.repositories.vendors.base import Headers

NOTHING = re.compile(r"0{40}|0{64}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DELIVERY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{7,71}")
_EVENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,59}")
_FORM = "application/x-www-form-urlencoded"
_HARMFUL = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")
LONGEST_BRANCH = 200
MOST_NUMBER = 2_147_483_647


def document(headers: Headers, body: bytes) -> dict[str, Any] | None:
    """The JSON object that *body* is, or that the field `payload` of a form is; None for what is none or is nested too deep."""
    try:
        text = body.decode("utf-8")
        if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            text = parse_qs(text, strict_parsing=True, max_num_fields=10)["payload"][0]
        found = json.loads(text)
    except (ValueError, KeyError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def inner(found: Any, *path: str) -> Any:
    """What lies at *path*, or None."""
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def text(found: Any, *path: str, longest: int = 200) -> str:
    """Text at *path*: printable, at most that long; "" when it is none."""
    value = inner(found, *path)
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else "�" for letter in value[:longest])


def number(found: Any, *path: str) -> int:
    """A whole number from 1 to 2³¹-1 at *path*; 0 when it is none."""
    value = inner(found, *path)
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value <= MOST_NUMBER else 0


def commit(found: Any, *path: str) -> str:
    """A commit's id at *path*; "" for none at all and for git's row of zeros."""
    value = inner(found, *path)
    if not isinstance(value, str) or not COMMIT.fullmatch(value) or NOTHING.fullmatch(value):
        return ""
    return value


def branch(value: Any) -> str:
    """*value* if it is a branch's or tag's short name (git-check-ref-format(1)) of at most 200 characters; else ""."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_BRANCH or value == "@":
        return ""
    if _HARMFUL.search(value) or value[0] in "-./" or value[-1] in "./" or not value.isprintable():
        return ""
    return value


def reference(value: Any) -> str:
    """*value* if it is a branch or a tag by its whole name; else ""."""
    if isinstance(value, str):
        for prefix in (BRANCHES, TAGS):
            if value.startswith(prefix) and branch(value.removeprefix(prefix)):
                return value
    return ""


def moment(value: Any) -> float:
    """A time as vendors write it, `2026-03-01T12:00:00Z` or `2026-03-01 12:00:00 UTC`, in seconds since the epoch; 0.0 when it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return 0.0
    try:
        when = datetime.fromisoformat(value.replace(" UTC", "+00:00"))
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def address(found: Any, *path: str) -> str:
    """A web address at *path*; "" when it is none that a page may link to."""
    value = text(found, *path, longest=500)
    return value if re.match(r"https?://[^\s\"'<>]+$", value) else ""


def delivery(value: str) -> str:
    """*value* if it can be an id of a delivery; else ""."""
    return value if _DELIVERY.fullmatch(value) else ""


def event(value: str) -> str:
    """*value* if it can be an event's name; else ""."""
    return value if _EVENT.fullmatch(value) else ""
