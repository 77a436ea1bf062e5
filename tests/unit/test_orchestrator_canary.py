"""When a release on trial counts as worse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.domain.traffic import LATENCY_BUCKETS, SlotTraffic
from sitewright.orchestrator.canary import ENOUGH_FOR_ERRORS, ENOUGH_FOR_LATENCY, Tally, Trial, judge

WIDTH = len(LATENCY_BUCKETS) + 1


def took(*seconds):
    """How many answers fall into each bucket."""
    counts = [0] * WIDTH
    for value in seconds:
        counts[next((n for n, edge in enumerate(LATENCY_BUCKETS) if value <= edge), WIDTH - 1)] += 1
    return tuple(counts)


def verdict(new, old):
    return judge(Trial("release2", 1.0, new, old))


@pytest.mark.parametrize(
    ("new", "old", "worse"),
    [
        (Tally(19, 19), Tally(1000, 0), False),
        (Tally(20, 20), Tally(1000, 0), True),
        (Tally(20, 4), Tally(1000, 0), False),
        (Tally(100, 6), Tally(1000, 0), True),
        (Tally(100, 4), Tally(1000, 0), False),
        (Tally(100, 10), Tally(1000, 80), False),
        (Tally(200, 60), Tally(1400, 140), True),
        (Tally(40, 6), Tally(40, 3), False),
        (Tally(1000, 1000), Tally(1000, 1000), False),
        (Tally(20, 20), Tally(0, 0), True),
    ],
)
def test_errors_count_when_they_are_many_and_clearly_more(new, old, worse):
    assert bool(verdict(new, old)) is worse


@pytest.mark.parametrize(
    ("new", "old", "worse"),
    [
        (0.400, 0.040, True),
        (0.090, 0.045, False),
        (0.105, 0.095, False),
        (0.004, 0.001, False),
        (0.020, 0.006, False),
        (2.0, 0.9, False),
        (3.0, 0.9, True),
        (0.040, 0.400, False),
    ],
)
def test_being_slower_counts_by_a_factor_and_a_margin(new, old, worse):
    tallies = [Tally(200, 0, took(*[seconds] * 200)) for seconds in (new, old)]
    assert bool(verdict(*tallies)) is worse


def test_a_slow_twentieth_counts_too():
    old = Tally(400, 0, took(*[0.02] * 400))
    new = Tally(400, 0, took(*[0.02] * 370, *[2.0] * 30))
    assert "one of twenty answers takes over 1 s" in verdict(new, old)


def test_the_words_name_the_figures():
    assert verdict(Tally(50, 25), Tally(300, 3)) == ("25 of its 50 answers were errors (50%); the release before had 3 of 300 (1%)")


buckets = st.lists(st.integers(0, 50), min_size=WIDTH, max_size=WIDTH).map(tuple)


@st.composite
def tallies(draw):
    latency = draw(buckets)
    requests = sum(latency)
    return Tally(requests, draw(st.integers(0, requests)), latency)


@given(tallies())
def test_nobody_is_worse_than_itself(tally):
    assert verdict(tally, tally) == ""


@given(tallies(), tallies())
def test_nothing_is_judged_before_there_is_enough(new, old):
    if new.requests < min(ENOUGH_FOR_ERRORS, ENOUGH_FOR_LATENCY):
        assert verdict(new, old) == ""


@given(tallies(), tallies())
def test_never_are_both_worse_than_the_other(one, other):
    if not one.errors and not other.errors:
        medians = [bool(verdict(a, b)) and "half" in verdict(a, b) for a, b in ((one, other), (other, one))]
        assert not all(medians)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), buckets), max_size=5))
def test_tallies_add_up(parts):
    tally = Tally()
    for requests, errors, latency in parts:
        tally = tally.plus(SlotTraffic(0, requests, errors, 0, latency))
    assert (tally.requests, tally.errors) == (sum(p[0] for p in parts), sum(p[1] for p in parts))
    assert sum(tally.latency) == sum(sum(p[2]) for p in parts)
