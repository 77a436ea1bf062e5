"""A repository's configuration as a value: what the builder follows, wherever it was written."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitewright.domain.pages import NO_RULES, NO_WISHES, PageRules, Wishes
from sitewright.domain.processes import HealthCheck


@dataclass(frozen=True, slots=True)
class BuildWish:
    """``command`` "" is the usual one, ``output`` None what is found, ``root`` "" all of it. ``versions``: runtime and bounds."""

    command: str = ""
    output: str | None = None
    root: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    dockerfile: str = ""
    """The file that describes the image, which is built in place of what was found."""


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """``lines``: process type and its line of a Procfile, where the configuration has a command for it."""

    file: str = ""
    build: BuildWish = field(default_factory=BuildWish)
    lines: tuple[tuple[str, str], ...] = ()
    health: tuple[tuple[str, HealthCheck], ...] = ()
    rules: PageRules = NO_RULES
    spa: str = ""
    wishes: Wishes = NO_WISHES
    memory_mb: int | None = None
    """Of every process that says nothing itself."""
    cpu_millicores: int | None = None
    channels: tuple[tuple[str, Wishes], ...] = ()
    required_env: tuple[str, ...] = ()
    """Variables without which it cannot run."""
    notes: tuple[str, ...] = ()

    @property
    def process_count(self) -> int:
        """How many process types have a command or a wish."""
        return len({name for name, _ in self.lines} | {name for name, _ in self.wishes.count} | {name for name, _ in self.health})


NO_CONFIG = SiteConfig()
