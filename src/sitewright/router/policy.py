"""What nginx is told of a channel that is asleep, keeps visitors on one instance or limits them: the names of folders. Pure.

nginx reads it as ``n/<kind>.<affinity>.<connections>.<requests a second>.<MiB of a body>``. Its own limits cannot be variables, so there is
one of each size (a tier), and a limit is rounded up to the next; above the last one the platform's own bound holds, and so it does for 0.
"""

from __future__ import annotations

from itertools import chain

from sitewright.domain.route import Affinity, ChannelRoute, Presence

CONNECTION_TIERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
RATE_TIERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
BODY_TIERS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""MiB."""
MIB = 1024 * 1024


def tier(limit: int, tiers: tuple[int, ...]) -> int:
    """The smallest tier that is not below *limit*; 0 for the platform's own bound."""
    return next((one for one in tiers if one >= limit), 0) if limit > 0 else 0


def is_special(route: ChannelRoute) -> bool:
    """Whether nginx has to look at a policy: those that need none pay nothing for it."""
    visits = route.visits
    limited = tier(visits.connections, CONNECTION_TIERS) or tier(visits.requests_per_second, RATE_TIERS) or tier(visits.body_mb, BODY_TIERS)
    return bool(route.presence is Presence.ASLEEP or (route.sockets and (route.affinity is not Affinity.NONE or limited)))


def is_ruled(route: ChannelRoute) -> bool:
    """Whether nginx has to look at page rules. Whoever is stopped, or has nothing to show yet, needs none."""
    there = route.sockets or route.public is not None or route.presence is Presence.ASLEEP
    return bool(route.rules and there and route.presence is not Presence.STOPPED)


def spelt(route: ChannelRoute) -> str:
    """The folder's name: `asleep.none.0.0.0`, `mixed.cookie.64.20.10`; for files alone, where there are rules, `static…` or `loose…`."""
    files = "loose" if route.changeable else "static"
    kind = "asleep" if route.presence is Presence.ASLEEP else files if not route.sockets else "app" if route.public is None else "mixed"
    visits = route.visits
    numbers = (
        tier(visits.connections, CONNECTION_TIERS),
        tier(visits.requests_per_second, RATE_TIERS),
        tier(visits.body_mb, BODY_TIERS),
    )
    return ".".join((kind, route.affinity.value, *map(str, numbers)))


def zone_lines() -> list[str]:
    """A zone for each tier; its key is empty, and nothing is counted, unless the channel's policy names that tier."""
    kinds = (("connections", CONNECTION_TIERS), ("rate", RATE_TIERS))
    lines = list(
        chain.from_iterable((f'map ${kind}_tier ${kind}_{one} {{ default ""; {one} $host; }}' for one in tiers) for kind, tiers in kinds)
    )
    lines += [f"limit_conn_zone $connections_{one} zone=connections_{one}:1m;" for one in CONNECTION_TIERS]
    lines += [f"limit_req_zone $rate_{one} zone=rate_{one}:1m rate={one}r/s;" for one in RATE_TIERS]
    lines += [f'map $content_length $over_{one} {{ default ""; "~{longer_than(one * MIB)}" 1; }}' for one in BODY_TIERS]
    return lines


def limit_lines() -> list[str]:
    """What a place needs for its visitors to be counted; a second's worth of requests may come at once."""
    lines = ["limit_conn_status 528;", "limit_req_status 528;"]
    lines += [f"limit_conn connections_{one} {one};" for one in CONNECTION_TIERS]
    lines += [f"limit_req zone=rate_{one} burst={one} nodelay;" for one in RATE_TIERS]
    return lines


def longer_than(number: int) -> str:
    """A regular expression for decimal numbers above *number*: nginx compares texts only."""
    digits = str(number)
    ways = [f"[0-9]{{{len(digits) + 1},}}"]
    for place, digit in enumerate(digits):
        if digit < "9":
            rest = len(digits) - place - 1
            ways.append(f"{digits[:place]}[{int(digit) + 1}-9]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"^(?:{'|'.join(ways)})$"
