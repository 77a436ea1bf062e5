"""Columns that several apps share: ids, and states whose words the database checks."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db import models

from sitewright.domain.identity import ID_LENGTH, new_id


def id_column() -> models.CharField[Any, Any]:
    """A primary key that tells nobody how many there are."""
    return models.CharField(max_length=ID_LENGTH, primary_key=True, default=new_id, editable=False)


def one_of(field: str, words: type[StrEnum], name: str) -> models.CheckConstraint:
    """A constraint: the column holds one of the words of sitewright.domain and nothing else."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": [word.value for word in words]}), name=name)
