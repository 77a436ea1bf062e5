"""The order of builds: fair by weight over teams, sites in turns, nobody starves, no slot stays empty while somebody could use it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from sitewright.builder.queue import PATIENCE_SECONDS, Ledger, Slots, Ticket, choose, ended, places, started, trimmed

FREE = Slots(1)


def ticket(number: int, team: str = "alice", site: str = "", **more: object) -> Ticket:
    site = site or f"{team}-site"
    fields: dict[str, object] = {"channel": f"{site}-{number}", "since": 0.0, "cost": 10.0, "weight": 100, **more}
    return Ticket(build_id=f"b{number}", team=team, site=site, number=number, **fields)  # type: ignore[arg-type]


def served(waiting: list[Ticket], ledger: Ledger | None = None, now: float = 1.0) -> Iterator[Ticket]:
    """Builds one after the other; each takes what it costs."""
    ledger, waiting = ledger or Ledger(), list(waiting)
    while waiting:
        chosen = choose(waiting, FREE, ledger, now)
        assert chosen is not None, "the slot is free and somebody waits"
        waiting.remove(chosen)
        ledger = ended(started(ledger, chosen, now), chosen, chosen.cost)
        now += chosen.cost
        yield chosen


def test_teams_take_turns_however_many_builds_one_of_them_has() -> None:
    waiting = [ticket(n) for n in range(5)] + [ticket(5, "bob"), ticket(6, "charlie")]
    assert [each.team for each in served(waiting)] == ["alice", "bob", "charlie", "alice", "alice", "alice", "alice"]


def test_sites_of_a_team_take_turns_and_each_is_served_in_order() -> None:
    waiting = [ticket(0, site="shop"), ticket(1, site="shop"), ticket(2, site="blog"), ticket(3, site="shop"), ticket(4, site="wiki")]
    assert [each.number for each in served(waiting)] == [0, 2, 4, 1, 3]


def test_long_builds_are_paid_for() -> None:
    waiting = [ticket(n, cost=60.0) for n in range(3)] + [ticket(3 + n, "bob", cost=10.0) for n in range(8)]
    order = [each.team for each in served(waiting)]
    assert order[:8] == ["alice", "bob", "bob", "bob", "bob", "bob", "bob", "alice"]


def test_two_builds_of_one_channel_never_run_at_once() -> None:
    waiting = [ticket(0, channel="production"), ticket(1, channel="staging")]
    assert choose(waiting, Slots(2, {"production": 3.0}), Ledger(), 1.0) == waiting[1]
    assert choose(waiting[:1], Slots(2, {"production": 3.0}), Ledger(), 1.0) is None


def test_who_comes_back_after_a_pause_has_saved_nothing() -> None:
    ledger = Ledger()
    for number in range(50):
        ledger = started(ledger, ticket(number, "bob"), float(number))
    waiting = [ticket(100 + n) for n in range(5)] + [ticket(200 + n, "bob") for n in range(5)]
    order = [each.team for each in served(waiting, trimmed(ledger, waiting))]
    assert order[:6].count("bob") >= 2


def test_the_light_team_is_served_once_its_patience_is_over() -> None:
    waiting = [ticket(n, cost=60.0, weight=10_000) for n in range(100)] + [ticket(999, "bob", weight=1)]
    ledger = started(Ledger(), ticket(1000, "bob", weight=1), 1.0)
    at = 1.0
    for chosen in served(waiting, ledger):
        if chosen.team == "bob":
            break
        at += chosen.cost
    assert PATIENCE_SECONDS <= at <= PATIENCE_SECONDS + 120


def test_a_flood_does_not_get_ahead_by_waiting() -> None:
    now = 10 * PATIENCE_SECONDS
    flood = [ticket(n) for n in range(200)]
    ledger = started(Ledger(), flood[0], now - 10)
    assert choose([*flood[1:], ticket(500, "bob", since=now)], FREE, ledger, now) == ticket(500, "bob", since=now)


def test_places_say_who_is_next_and_how_long_it_takes() -> None:
    waiting = [ticket(0, cost=10.0), ticket(1, cost=20.0), ticket(2, "bob", cost=5.0)]
    found = places(waiting, Slots(1, {"busy": 7.0}), Ledger(), 1.0)
    assert [(place.build_id, place.position, place.wait_seconds) for place in found] == [("b0", 1, 7.0), ("b2", 2, 17.0), ("b1", 3, 22.0)]


def test_places_of_a_long_queue_are_all_told() -> None:
    waiting = [ticket(n, f"team{n % 300}") for n in range(1000)]
    found = places(waiting, Slots(2), Ledger(), 1.0)
    assert [place.position for place in found] == list(range(1, 1001))
    assert len({place.build_id for place in found}) == 1000
    assert all(one.wait_seconds <= other.wait_seconds for one, other in itertools.pairwise(found))


queues = st.lists(
    st.tuples(st.sampled_from(["alice", "bob", "charlie"]), st.integers(0, 2), st.floats(0.1, 100), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


def tickets_of(rows: list[tuple[str, int, float, int]], weights: dict[str, int]) -> list[Ticket]:
    return [
        ticket(n, team, f"{team}{site}", cost=cost, weight=weights[team], channel=f"{team}{site}c{channel}")
        for n, (team, site, cost, channel) in enumerate(rows)
    ]


weighing = st.fixed_dictionaries({team: st.integers(10, 1000) for team in ("alice", "bob", "charlie")})


@settings(max_examples=60, deadline=None)
@given(queues, weighing, st.integers(1, 3))
def test_everybody_is_served_and_no_slot_stays_empty(rows: list[tuple[str, int, float, int]], weights: dict[str, int], count: int) -> None:
    waiting = tickets_of(rows, weights)
    ledger, running, at = Ledger(), dict[str, tuple[float, Ticket]](), 1.0
    done = 0
    while waiting or running:
        while (chosen := choose(waiting, Slots(count, dict.fromkeys(running, 1.0)), ledger, at)) is not None:
            waiting.remove(chosen)
            assert chosen.channel not in running
            ledger = started(ledger, chosen, at)
            running[chosen.channel] = (at + chosen.cost, chosen)
        assert len(running) == count or all(each.channel in running for each in waiting)
        channel = min(running, key=lambda name: running[name][0])
        at, ticket_ended = running.pop(channel)
        ledger = ended(ledger, ticket_ended, ticket_ended.cost)
        done += 1
    assert done == len(rows)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.5, 30), min_size=30, max_size=60),
    st.lists(st.floats(0.5, 30), min_size=30, max_size=60),
    st.integers(20, 500),
    st.floats(0.1, 50),
)
def test_shares_follow_the_weights(alices: list[float], bobs: list[float], weight: int, guessed: float) -> None:
    """Of two teams that always wait, the seconds ÷ weight differ by no more than one build of each, whatever was guessed before."""
    costs = {f"b{n}": cost for n, cost in enumerate([*alices, *bobs])}
    waiting = [ticket(n, cost=guessed) for n in range(len(alices))]
    waiting += [ticket(len(alices) + n, "bob", cost=guessed, weight=weight) for n in range(len(bobs))]
    ledger, at, had = Ledger(), 1.0, defaultdict[str, float](float)
    while len({each.team for each in waiting}) == 2:
        chosen = choose(waiting, FREE, replace_since(ledger, at), at)
        assert chosen is not None
        waiting.remove(chosen)
        seconds = costs[chosen.build_id]
        ledger = ended(started(ledger, chosen, at), chosen, seconds)
        had[chosen.team] += seconds
        at += seconds
        assert abs(had["alice"] / 100 - had["bob"] / weight) <= max(alices) / 100 + max(bobs) / weight + 1e-6


def replace_since(ledger: Ledger, at: float) -> Ledger:
    """Nobody loses patience: shares are what is looked at."""
    return Ledger(ledger.turns, {"alice": at, "bob": at}, ledger.sites, ledger.now_serving, ledger.starts)


@settings(max_examples=40, deadline=None)
@given(queues, weighing)
def test_what_is_foretold_is_what_happens(rows: list[tuple[str, int, float, int]], weights: dict[str, int]) -> None:
    waiting = tickets_of(rows, weights)
    foretold = [place.build_id for place in places(waiting, FREE, Ledger(), 1.0)]
    assert foretold == [each.build_id for each in served(waiting)]
