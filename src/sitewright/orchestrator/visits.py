"""What the router's log says of a channel's slots: who refuses connections, and how a release on trial does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sitewright.domain.route import SLOTS, ChannelRoute
from sitewright.domain.traffic import SlotTraffic
from sitewright.orchestrator.canary import NOT_COUNTED_SECONDS
from sitewright.orchestrator.memory import ChannelMemory
from sitewright.orchestrator.model import OUT_SECONDS

HANDED_OVER_SECONDS = 3.0
"""What the log says of a slot that changed hands so lately may be about its holder of before: the log is read every second."""


def note_hands(memory: ChannelMemory, before: ChannelRoute | None, after: ChannelRoute, steady: float) -> None:
    """Remember which slots lead somewhere else from now on."""
    old = before.sockets if before is not None and len(before.sockets) == SLOTS else (None,) * SLOTS
    if len(after.sockets) == SLOTS:
        changed = (slot for slot in range(SLOTS) if old[slot] != after.sockets[slot])
        memory.handed_over.update(dict.fromkeys(changed, steady))


def note_slots(memory: ChannelMemory, slots: Iterable[SlotTraffic], trial_slots: int, now: float, steady: float) -> bool:
    """Note what these slots answered since the last time; whether there is something new to plan.

    *trial_slots*: so many of the last slots are those of a release on trial.
    """
    if memory.route is None or len(memory.route.sockets) != SLOTS or len(memory.slots) != SLOTS:
        return False
    news = False
    for traffic in slots:
        if not 0 <= traffic.slot < SLOTS or steady - memory.handed_over.get(traffic.slot, steady) < HANDED_OVER_SECONDS:
            continue
        holder = memory.instances.get(memory.slots[traffic.slot])
        if traffic.refused and holder is not None:
            holder.out_until = now + OUT_SECONDS
            news = True
    return _note_trial(memory, slots, trial_slots, now) or news


def _note_trial(memory: ChannelMemory, slots: Iterable[SlotTraffic], trial_slots: int, now: float) -> bool:
    trial = memory.trial
    if trial is None or trial.aborted or not trial.serving_since or not trial_slots:
        return False
    if 0 <= now - trial.serving_since < NOT_COUNTED_SECONDS:
        return False
    for traffic in slots:
        if SLOTS - trial_slots <= traffic.slot < SLOTS:
            trial = replace(trial, new=trial.new.plus(traffic))
        elif 0 <= traffic.slot < SLOTS:
            trial = replace(trial, old=trial.old.plus(traffic))
    changed = trial != memory.trial
    memory.trial = trial
    return changed
