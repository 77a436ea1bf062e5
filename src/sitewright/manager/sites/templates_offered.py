"""The templates that a new site may begin from: the folders that ship with the builder, with words for people."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Offer:
    """One template in the gallery."""

    name: str
    title: str
    description: str


WORDS: Final = {
    "static": ("A page", "One HTML file and a style sheet. The simplest start."),
    "guestbook": ("Guestbook", "A small Flask app that keeps what visitors write."),
    "fastapi": ("FastAPI", "A Python API with its own documentation page."),
    "django": ("Django", "A Python project with a database."),
    "express": ("Express", "A Node.js web app in one file."),
    "php": ("PHP", "A PHP page with a small database."),
    "vite": ("Vite", "A front end that is built before it is served."),
}
"""Name → title and description. A template without an entry is offered by its name."""


def offered() -> list[Offer]:
    """All that ship, those that need the least first."""
    order = list(WORDS)
    names = sorted(
        (entry.name for entry in files("sitewright.builder").joinpath("templates").iterdir() if entry.is_dir() and entry.name[0].isalnum()),
        key=lambda name: (order.index(name) if name in order else len(order), name),
    )
    return [Offer(name, *WORDS.get(name, (name.capitalize(), ""))) for name in names]
