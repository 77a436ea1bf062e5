"""Blueprints between the database and the domain."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from sitewright.domain.release import Blueprint

_BLUEPRINT = TypeAdapter(Blueprint)


def blueprint_of(document: Any) -> Blueprint:
    """A stored blueprint as a value."""
    return _BLUEPRINT.validate_python(document)


def blueprint_document(blueprint: Blueprint) -> Any:
    """A blueprint as JSON for a column."""
    return _BLUEPRINT.dump_python(blueprint, mode="json")
