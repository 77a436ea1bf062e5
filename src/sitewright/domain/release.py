"""What a build makes: immutable and numbered."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitewright.domain.pages import NO_RULES, NO_WISHES, PageRules, Wishes
from sitewright.domain.processes import ProcessSpec

KEPT_RELEASES = 5
"""How many of a channel's newest releases stay on its node, to be returned to; the one that visitors get stays anyway."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What the builder found out about a built tree: everything that is needed to run it.

    ``static_root`` is the folder, relative to the tree ("" is the tree itself), that nginx serves; None when nothing is static.
    ``fallback`` is the file under static_root served for unknown paths with 200 ("" for none), as single-page apps want it.
    """

    pack: str
    stack: str
    processes: tuple[ProcessSpec, ...] = ()
    static_root: str | None = None
    fallback: str = ""
    env: tuple[tuple[str, str], ...] = ()
    """Defaults that the pack sets; the channel's own variables win."""
    rules: PageRules = NO_RULES
    wishes: Wishes = NO_WISHES
    image: str = ""
    """Of a container image that runs as it is (`sha256:…`): there is no tree then; "" for everything else."""
    port: int = 0
    """Of an image: the TCP port that it listens on; 0 is $PORT as every site has it."""
    config: str = ""
    """The name of the configuration file that was followed: `sitewright.toml`, `app.json`; "" for none."""
    channels: tuple[tuple[str, Wishes], ...] = ()
    """What the configuration wishes for channels of these names in place of ``wishes``."""

    def process(self, process_type: str) -> ProcessSpec | None:
        """The process type of that name, or None."""
        return next((p for p in self.processes if p.type == process_type), None)

    def wishes_for(self, channel: str) -> Wishes:
        """What the configuration wishes for the channel of that name."""
        own = dict(self.channels).get(channel)
        return self.wishes if own is None else self.wishes.changed(own)

    @property
    def is_static(self) -> bool:
        """Whether nginx alone serves it: nothing to start, nothing to sleep."""
        return self.static_root is not None and self.process("web") is None


@dataclass(frozen=True, slots=True)
class Release:
    """One immutable, numbered result of a build. ``droplet`` is the SHA-256 (hex) of the archive; "" in live mode."""

    id: str
    number: int
    droplet: str
    blueprint: Blueprint
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Droplet:
    """A built tree as a content-addressed archive."""

    digest: str
    size_bytes: int
    files: int
    blueprint: Blueprint = field(default_factory=lambda: Blueprint(pack="", stack=""))
