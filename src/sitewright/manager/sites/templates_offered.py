"""The gallery that a new site may begin from: the folders that ship with the builder, each with its own words and picture."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from django.utils.safestring import SafeString, mark_safe


@dataclass(frozen=True, slots=True)
class Offer:
    """One template in the gallery. ``picture`` is an SVG element of ours, drawn in the colour of the text around it; "" for none."""

    name: str
    title: str
    description: str
    language: str = ""
    picture: str = ""

    @property
    def drawn(self) -> SafeString:
        """The picture as an element of a page; it ships with the program and is nobody's input."""
        return mark_safe(self.picture)  # noqa: S308 - a file of ours


@cache
def offered() -> list[Offer]:
    """All that ship, those that need the least first. They change only with the program, so they are read once."""
    folders = files("sitewright.builder").joinpath("templates").iterdir()
    found = [_read(folder) for folder in folders if folder.joinpath("template.toml").is_file()]
    return [offer for _, offer in sorted(found, key=lambda pair: (pair[0], pair[1].name))]


def _read(folder: Traversable) -> tuple[int, Offer]:
    words = tomllib.loads(folder.joinpath("template.toml").read_text(encoding="utf-8"))
    picture = folder.joinpath("template.svg")
    shown = picture.read_text(encoding="utf-8").strip() if picture.is_file() else ""
    offer = Offer(
        folder.name, words.get("title", folder.name.capitalize()), words.get("description", ""), words.get("language", ""), picture=shown
    )
    return int(words.get("order", 99)), offer
