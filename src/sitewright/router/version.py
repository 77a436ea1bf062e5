"""One prepared version of a channel's route: a folder of symlinks and markers that is made once and never modified.

    shown                → a static site's files; the link belongs to the site, so that it leads to nothing but the site's own
    public               → the same, where the site cannot put a link in that folder's place
    files                → files that come before the app; the link belongs to the site
    0 … 15               → sockets that answer HTTP (slots)
    a0 … a15             → the slot that is asked when that one does not answer: another instance's; none when there is one instance
    f0 … f15, g0 … g15   the same for sockets of php-fpm; slots 0 … 15 then lead to nginx's own FastCGI server
    fallback             → n/<path of the file in public that answers unknown paths>
    docroot              → n/<document root as php-fpm sees it>
    policy               → n/<what sitewright.router.policy spells>
    app | mixed                                      a marker: there are slots, without or with `files`, and no policy
    special                                          a marker: there is a policy
    ruled                                            a marker in place of these, of `loose` and of `public`: there are page rules,
                                                     always with a policy, in `rules` (sitewright.router.rules.compile)
    held                                             the same link as `shown` or `files`, for what the rules lead to
    loose                                            a marker: there is `shown` without `public`
    starting | stopped | crashed | asleep            a marker: which page a visitor finds, or that he wakes it

nginx cannot read a value from a file, but it can resolve a symlink (``$realpath_root``): that is why values are spelt as folders
below ``n``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sitewright.domain.route import SLOTS, Affinity, ChannelRoute, Presence, spread
from sitewright.router.policy import is_ruled, is_special, spelt
from sitewright.router.rules.compile import compiled
from sitewright.system.accounts import is_root

_LAYOUT = "6"


SHARED = "shared."
"""How the names of versions begin that hold nothing of one channel alone: ten thousand sleeping sites lead to a handful of folders."""


def version_name(route: ChannelRoute) -> str:
    """<channel>.<16 hex characters of everything but the hosts>; `shared.…` when no link in it leads to anything of the channel's own."""
    where = f"{route.public or ''}{' changeable' if route.changeable else ''}"
    policy = spelt(route) if is_special(route) else ""
    if is_ruled(route):
        policy = f"{spelt(route)} {route.rules!r}"
    parts = [_LAYOUT, route.presence.value, where, route.fallback, route.fastcgi_root, policy, *map(str, route.sockets)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    own = route.public is not None or (route.sockets and route.presence is not Presence.ASLEEP)
    return f"{route.channel_id if own else SHARED[:-1]}.{digest[:16]}"


def build(folder: Path, route: ChannelRoute, owner: int, fastcgi_socket: Path) -> None:
    """Make the version in *folder*, which must not exist. *owner* is the uid of the site's files."""
    _make_folder(folder)
    if route.presence is not Presence.STOPPED:
        if route.public is not None:
            _show(folder, route.public, owner, route)
        _answerers(folder, route, fastcgi_socket)
        if is_ruled(route):
            (folder / "ruled").touch(mode=0o644)
            (folder / "rules").write_bytes(compiled(route.rules))
            (folder / "rules").chmod(0o644)
    if route.presence is not Presence.RUNNING:
        (folder / route.presence.value).touch(mode=0o644)
    if route.fallback:
        _spell(folder, "fallback", f"fallback/{route.fallback}")


def alternates(sockets: tuple[Path, ...]) -> tuple[int, ...]:
    """For each slot one that leads to another instance, as evenly as can be; () when there are not two instances."""
    instances = list(dict.fromkeys(sockets))
    if len(instances) < 2:
        return ()
    slots = {socket: [slot for slot, other in enumerate(sockets) if other == socket] for socket in instances}
    chosen = []
    for slot, socket in enumerate(sockets):
        turn = slots[socket].index(slot)
        step = 1 + turn % (len(instances) - 1)
        other = slots[instances[(instances.index(socket) + step) % len(instances)]]
        chosen.append(other[turn % len(other)])
    return tuple(chosen)


def _show(folder: Path, public: Path, owner: int, route: ChannelRoute) -> None:
    before_an_app = route.sockets or route.presence is Presence.ASLEEP
    names = ("files",) if before_an_app else ("shown",) if route.changeable or is_ruled(route) else ("shown", "public")
    if is_ruled(route):
        names = (*names, "held")
    link = folder / names[0]
    link.symlink_to(public)
    if is_root():
        os.chown(link, owner, -1, follow_symlinks=False)
    for name in names[1:]:
        os.link(link, folder / name, follow_symlinks=False)
    if names == ("shown",):
        (folder / "loose").touch(mode=0o644)


def _answerers(folder: Path, route: ChannelRoute, fastcgi_socket: Path) -> None:
    """Markers and slots of what has, or had and will have, instances."""
    sockets = () if route.presence is Presence.ASLEEP else spread(route.sockets)
    if is_special(route) or is_ruled(route):
        if not is_ruled(route):
            (folder / "special").touch(mode=0o644)
        _spell(folder, "policy", spelt(route))
    elif sockets:
        (folder / ("app" if route.public is None else "mixed")).touch(mode=0o644)
    if route.fastcgi_root and (sockets or route.presence is Presence.ASLEEP):
        below = "docroot" if route.affinity is Affinity.NONE else f"docroot@{route.affinity.value}"
        _spell(folder, "docroot", f"{below}/{route.fastcgi_root.removeprefix('/')}")
    if not sockets:
        return
    if route.fastcgi_root:
        _link_all(folder, "", (str(fastcgi_socket),) * SLOTS)
    first, second = ("f", "g") if route.fastcgi_root else ("", "a")
    _link_all(folder, first, tuple(map(str, sockets)))
    _link_all(folder, second, tuple(f"{first}{slot}" for slot in alternates(sockets)))


def _link_all(folder: Path, prefix: str, targets: tuple[str, ...]) -> None:
    """Symlinks <prefix>0 … <prefix>15. Those with one target are hard links to one symlink: an inode each would fill the run folder's
    memory at 100,000 sites."""
    first: dict[str, Path] = {}
    for slot, target in enumerate(targets):
        link = folder / f"{prefix}{slot}"
        if target in first:
            os.link(first[target], link, follow_symlinks=False)
        else:
            link.symlink_to(target)
            first[target] = link


def _spell(folder: Path, name: str, path: str) -> None:
    """Make *name* a symlink whose real path ends with *path*."""
    there = folder
    for part in ("n", *path.split("/")):
        there = there / part
        if not there.is_dir():
            _make_folder(there)
    (folder / name).symlink_to(there.relative_to(folder))


def _make_folder(folder: Path) -> None:
    """A folder that nginx may enter, whatever this process's umask."""
    folder.mkdir()
    folder.chmod(0o755)
