"""How the router serves files and addresses of a site: headers, redirects, rewrites, pages for what is missing. All of it is data.

Patterns are Netlify's: a path that begins with `/`, in which `:name` stands for one segment and a last `*` for all that follows (`:splat`
in the target). There are no regular expressions: matching takes time linear in pattern and path.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_RULES = 1000
"""Of each kind, for one site."""


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Headers that answers to matching paths get. A later rule's header of the same name wins."""

    path: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RedirectRule:
    """``status`` 301, 302, 303, 307, 308: the visitor is sent to ``target`` (a path, or an address of http or https). 200: the file at
    ``target`` is shown in its place. 404, 410: the file at ``target`` is shown with that status. ``force``: also where a file is."""

    path: str
    target: str
    status: int = 301
    force: bool = False
    query: tuple[tuple[str, str], ...] = ()
    """Parameters that must be there; a value `:name` takes what is given."""


@dataclass(frozen=True, slots=True)
class PageRules:
    """All rules of one release; the first redirect that matches counts. ``not_found`` is a file below the served folder; "" is 404.html."""

    headers: tuple[HeaderRule, ...] = ()
    redirects: tuple[RedirectRule, ...] = ()
    not_found: str = ""

    def __bool__(self) -> bool:
        return bool(self.headers or self.redirects or self.not_found)


NO_RULES = PageRules()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a release's own configuration asks of the platform. The owner's settings go before it, and the plan bounds it. None and () are
    «nothing said»; times in seconds."""

    memory_mb: tuple[tuple[str, int], ...] = ()
    """Process type and what each of its instances needs."""
    cpu_millicores: tuple[tuple[str, int], ...] = ()
    count: tuple[tuple[str, int], ...] = ()
    freeze_after_seconds: float | None = None
    stop_after_seconds: float | None = None
    env: tuple[tuple[str, str], ...] = ()
    """Defaults of variables; the channel's own go before them."""

    def changed(self, own: Wishes) -> Wishes:
        """These with what *own* says in their place."""
        return Wishes(
            memory_mb=tuple({**dict(self.memory_mb), **dict(own.memory_mb)}.items()),
            cpu_millicores=tuple({**dict(self.cpu_millicores), **dict(own.cpu_millicores)}.items()),
            count=tuple({**dict(self.count), **dict(own.count)}.items()),
            freeze_after_seconds=self.freeze_after_seconds if own.freeze_after_seconds is None else own.freeze_after_seconds,
            stop_after_seconds=self.stop_after_seconds if own.stop_after_seconds is None else own.stop_after_seconds,
            env=tuple({**dict(self.env), **dict(own.env)}.items()),
        )

    def __bool__(self) -> bool:
        sleeps = self.freeze_after_seconds is not None or self.stop_after_seconds is not None
        return bool(self.memory_mb or self.cpu_millicores or self.count or self.env or sleeps)


NO_WISHES = Wishes()
