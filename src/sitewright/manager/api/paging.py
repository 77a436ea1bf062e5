"""Lists a page at a time. The cursor is opaque: the order's values of the last row, so pages stay right while rows come and go."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from sitewright.errors import InvalidValueError

R = TypeVar("R", bound=Model)

USUAL = 50
MOST = 200


def page(rows: QuerySet[R], order: Sequence[str], cursor: str, limit: int) -> tuple[list[R], str | None]:
    """At most *limit* rows after *cursor* in *order* (field names, `-` for descending, the last one unique), and the next cursor."""
    size = max(1, min(limit, MOST))
    if cursor:
        rows = rows.filter(_after(order, _decode(cursor, len(order))))
    found = list(rows.order_by(*order)[: size + 1])
    if len(found) <= size:
        return found, None
    found = found[:size]
    return found, _encode([getattr(found[-1], name.lstrip("-")) for name in order])


def _after(order: Sequence[str], values: Sequence[Any]) -> Q:
    condition = Q()
    same = Q()
    for name, value in zip(order, values, strict=True):
        field = name.lstrip("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= same & Q(**{f"{field}__{comparison}": value})
        same &= Q(**{field: value})
    return condition


def _encode(values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _decode(cursor: str, length: int) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded.encode()))
        if not isinstance(values, list) or len(values) != length or not all(isinstance(value, str | int) for value in values):
            raise ValueError
        return [_parsed(value) for value in values]
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise InvalidValueError("The cursor is not one of ours.", resolution="Begin again without a cursor.") from error


def _parsed(value: Any) -> Any:
    """Times come back as times, all else as it was."""
    if isinstance(value, str) and len(value) > 18 and value[4:5] == "-" and "T" in value:
        return datetime.fromisoformat(value)
    return value
