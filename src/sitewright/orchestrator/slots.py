"""Who holds which of a channel's 16 slots. Pure.

The rules, in order: all slots are filled when anybody is ready; a release on trial gets exactly its slots, always the last ones; who is
out gets none while others are in; within a group everybody gets as many as anybody else, give or take one; and as few slots as possible
change hands, so that visitors who are bound to an instance (by host, cookie or address) stay with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from sitewright.domain.route import SLOTS

Holders = tuple[str, ...]
"""Instance ids, one a slot; () when nobody has ever held any."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Who can be dealt slots, as instance ids, the oldest first. ``trial``: those of a release on trial, which get ``trial_slots``.

    ``out``: those that refused connections lately.
    """

    ready: Sequence[str] = ()
    trial: Sequence[str] = ()
    trial_slots: int = 0
    out: Collection[str] = field(default=frozenset())


def deal(previous: Holders, hands: Hands) -> Holders:
    """The holder of each slot; () when nobody is ready. The same question always has the same answer."""
    ready, trial = _in(hands.ready, hands.out), _in(hands.trial, hands.out)
    trial_slots = min(max(hands.trial_slots, 0), SLOTS) if trial else 0
    if not ready:
        trial_slots = SLOTS if trial else 0
    before = previous if len(previous) == SLOTS else ("",) * SLOTS
    split = SLOTS - trial_slots
    return (*_share(before[:split], ready), *_share(before[split:], trial)) if ready or trial else ()


def _in(ids: Sequence[str], out: Collection[str]) -> tuple[str, ...]:
    """Those that are not out; all of them when nobody else is left."""
    return tuple(i for i in ids if i not in out) or tuple(ids)


def _share(before: Holders, holders: Sequence[str]) -> Holders:
    """Deal these slots evenly among *holders*, taking as few as possible from who has them."""
    if not before:
        return ()
    before = _hand_on(before, holders)
    left = _quotas(before, holders)
    after = [""] * len(before)
    for slot, holder in enumerate(before):
        if left.get(holder, 0) > 0:
            after[slot] = holder
            left[holder] -= 1
    queue = _in_turns([h for h in holders if left[h]], left)
    for slot, holder in enumerate(after):
        if not holder:
            after[slot] = next(queue)
    return tuple(after)


def _quotas(before: Holders, holders: Sequence[str]) -> dict[str, int]:
    """How many slots each gets; where it does not come out even, those that have most keep one more."""
    each, more = divmod(len(before), len(holders))
    order = sorted(holders, key=lambda h: (-before.count(h), holders.index(h)))
    return {h: each + (1 if rank < more else 0) for rank, h in enumerate(order)}


def _hand_on(before: Holders, holders: Sequence[str]) -> Holders:
    """The slots of each that is gone go, together, to one that has none yet: its successor."""
    gone = dict.fromkeys(h for h in before if h and h not in holders)
    successor = dict(zip(gone, (h for h in holders if h not in before), strict=False))
    return tuple(successor.get(h, h) for h in before)


def _in_turns(holders: Sequence[str], left: dict[str, int]) -> Iterator[str]:
    """Each in turn while it has some left to get."""
    while any(left[h] for h in holders):
        for holder in holders:
            if left[holder]:
                left[holder] -= 1
                yield holder
