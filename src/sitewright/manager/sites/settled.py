"""A channel's settings: checking what is asked for, and saying in words what was set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sitewright.domain.desired import Strategy
from sitewright.domain.route import SLOTS, Affinity
from sitewright.errors import InvalidValueError
from sitewright.manager.durations import duration
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.allowance import VISIT_FIGURES, Allowance, check_sleep, check_visits

AFFINITY_WORDS = {
    Affinity.NONE: "any copy answers any visitor",
    Affinity.HOST: "one address, one copy",
    Affinity.COOKIE: "one browser stays with one copy",
    Affinity.ADDRESS: "one network address stays with one copy",
}
STRATEGY_WORDS = {Strategy.ROLLING: "one copy after the other", Strategy.BLUE_GREEN: "all copies at once (blue/green)"}


OwnSleep = Mapping[str, float | None]
"""`freeze_after_seconds`, `stop_after_seconds`: a channel's own times. None is the plan's, 0 never; what is left out stays."""
SleepChoice = OwnSleep | Literal["default", "never"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Which settings to change; None leaves one as it is. A figure of ``visits`` that is None or 0 goes back to the plan's."""

    sleep: SleepChoice | None = None
    affinity: Affinity | None = None
    strategy: Strategy | None = None
    max_surge: int | None = None
    visits: Mapping[str, int | None] = field(default_factory=dict)


def fields_of(channel: Channel, wish: Wish, allowance: Allowance) -> dict[str, Any]:
    """The columns of Channel to change. Raises InvalidValueError, in words, for what the plan does not allow or when nothing is asked."""
    fields: dict[str, Any] = {}
    if wish.sleep is not None:
        fields |= _sleep(channel, wish.sleep, allowance)
    if wish.affinity is not None:
        fields["affinity"] = wish.affinity.value
    if wish.strategy is not None:
        fields["strategy"] = wish.strategy.value
    if wish.max_surge is not None:
        if not 1 <= wish.max_surge <= SLOTS:
            raise InvalidValueError(f"{wish.max_surge} more copies at a time are not possible.", details=f"1 to {SLOTS} are.")
        fields["max_surge"] = wish.max_surge
    if wish.visits:
        fields["visits"] = _visits(channel, wish.visits, allowance)
    if not fields:
        raise InvalidValueError("Nothing was asked for.", resolution="Name at least one setting to change.")
    return fields


def _sleep(channel: Channel, choice: SleepChoice, allowance: Allowance) -> dict[str, Any]:
    if isinstance(choice, Mapping):
        freeze = choice.get("freeze_after_seconds", channel.freeze_after_seconds)
        stop = choice.get("stop_after_seconds", channel.stop_after_seconds)
    else:
        freeze = stop = 0.0 if choice == "never" else None
    if choice != "default":
        check_sleep(allowance, freeze, stop)
    return {"freeze_after_seconds": freeze, "stop_after_seconds": stop}


def _visits(channel: Channel, asked: Mapping[str, int | None], allowance: Allowance) -> dict[str, int]:
    for name, value in asked.items():
        if name not in VISIT_FIGURES or (value is not None and not 0 <= value <= 1_000_000):
            raise InvalidValueError(f"{name[:30]} cannot be {value}.", details="It is 1 to 1000000, or 0 for what the plan allows.")
    check_visits(allowance, {name: value for name, value in asked.items() if value is not None})
    return {name: value for name, value in {**(channel.visits or {}), **asked}.items() if value}


def in_words(fields: Mapping[str, Any]) -> str:
    """What was set, for the timeline."""
    parts = []
    if "freeze_after_seconds" in fields or "stop_after_seconds" in fields:
        parts.append(sleep_in_words(fields.get("freeze_after_seconds"), fields.get("stop_after_seconds")))
    if "affinity" in fields:
        parts.append(AFFINITY_WORDS[Affinity(fields["affinity"])])
    if "strategy" in fields:
        parts.append(f"a deploy replaces {STRATEGY_WORDS[Strategy(fields['strategy'])]}")
    if "max_surge" in fields:
        parts.append(f"at most {fields['max_surge']} more {'copy' if fields['max_surge'] == 1 else 'copies'} during a deploy")
    if "visits" in fields:
        said = ", ".join(f"{value} {VISIT_FIGURES[name]}" for name, value in sorted(fields["visits"].items()))
        parts.append(f"at most {said}" if said else "as many visitors as the plan allows")
    return "; ".join(parts)


def sleep_in_words(freeze: float | None, stop: float | None) -> str:
    """`sleeps as the plan says`, `never sleeps`, `freezes after 10 min, stops after 2 h`."""
    if freeze is None and stop is None:
        return "sleeps as the plan says"
    if freeze == 0 and stop == 0:
        return "never sleeps"
    parts = []
    for verb, seconds in (("freezes", freeze), ("stops", stop)):
        if seconds:
            parts.append(f"{verb} after {duration(seconds)}")
        elif seconds == 0:
            parts.append(f"never {verb}")
        else:
            parts.append(f"{verb} as the plan says")
    return ", ".join(parts)
