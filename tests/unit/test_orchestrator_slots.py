"""Sixteen slots are dealt evenly, and as few as possible change hands."""

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from sitewright.domain.route import SLOTS
from sitewright.orchestrator.slots import Hands, deal

NAMES = [f"i{n}" for n in range(24)]
some = st.lists(st.sampled_from(NAMES), unique=True, max_size=20)
holders = st.one_of(st.just(()), st.lists(st.sampled_from(["", *NAMES]), min_size=SLOTS, max_size=SLOTS).map(tuple))


@st.composite
def hands(draw):
    ready = draw(some)
    trial = [name for name in draw(some) if name not in ready]
    out = draw(st.frozensets(st.sampled_from(NAMES)))
    return Hands(ready, trial, draw(st.integers(1, SLOTS - 1)), out)


def moved(before, after):
    return sum(1 for old, new in zip(before, after, strict=True) if old != new)


@given(holders, hands())
def test_all_slots_are_filled_when_anybody_is_ready_and_only_by_who_may(before, hands):
    after = deal(before, hands)
    assert len(after) == (SLOTS if hands.ready or hands.trial else 0)
    assert set(after) <= {*hands.ready, *hands.trial}


@given(holders, hands())
def test_a_release_on_trial_gets_exactly_its_slots(before, hands):
    after = deal(before, hands)
    if hands.ready and hands.trial:
        assert sum(1 for h in after if h in hands.trial) == hands.trial_slots
        assert set(after[SLOTS - hands.trial_slots :]) <= set(hands.trial)


@given(holders, hands())
def test_within_a_group_everybody_has_as_many_as_anybody_else_give_or_take_one(before, hands):
    after = deal(before, hands)
    for group in (hands.ready, hands.trial):
        members = [h for h in group if h not in hands.out] or list(group)
        counts = [after.count(h) for h in members]
        assert not counts or max(counts) - min(counts) <= 1


@given(holders, hands())
def test_who_is_out_has_none_while_others_of_its_group_are_in(before, hands):
    after = deal(before, hands)
    for group in (hands.ready, hands.trial):
        if any(h not in hands.out for h in group):
            assert not {h for h in group if h in hands.out} & set(after)


@given(holders, hands())
def test_dealing_again_moves_nothing(before, hands):
    after = deal(before, hands)
    assert deal(after, hands) == after


@given(holders, hands())
def test_no_slot_is_taken_from_who_has_no_more_than_its_share(before, hands):
    after = deal(before, hands)
    if len(before) == len(after) == SLOTS and not hands.trial:
        fair = Counter(after)
        for holder, count in Counter(before).items():
            kept = sum(1 for old, new in zip(before, after, strict=True) if old == new == holder)
            assert kept == min(count, fair[holder]), "it kept all that it may have"


@given(st.integers(1, 20))
def test_one_more_instance_moves_only_its_own_share(count):
    before = deal((), Hands(NAMES[:count]))
    after = deal(before, Hands(NAMES[: count + 1]))
    assert moved(before, after) <= ceil(SLOTS / (count + 1))


@given(st.integers(2, 16))
def test_one_instance_less_moves_only_its_own_slots(count):
    before = deal((), Hands(NAMES[:count]))
    after = deal(before, Hands(NAMES[1:count]))
    assert moved(before, after) == before.count(NAMES[0])


@given(st.integers(1, 16))
def test_a_replaced_instance_hands_its_slots_on_to_its_successor(count):
    names = list(NAMES[:count])
    before = deal((), Hands(names))
    for number in range(count):
        fresh = [*names[1:], f"new{number}"]
        after = deal(before, Hands(fresh))
        assert [s for s, h in enumerate(before) if h == names[0]] == [s for s, h in enumerate(after) if h == fresh[-1]]
        assert moved(before, after) == before.count(names[0])
        names, before = fresh, after


@given(st.integers(1, 8), st.integers(1, 8))
def test_a_trial_that_ends_gives_back_what_it_took_and_moves_little(count, slots):
    alone = deal((), Hands(NAMES[:count]))
    tried = deal(alone, Hands(NAMES[:count], ["new"], slots))
    assert moved(alone, tried) == slots
    over = deal(tried, Hands(NAMES[:count]))
    assert moved(tried, over) == slots


def test_who_comes_back_from_being_out_gets_its_share_again():
    before = deal((), Hands(["a", "b"]))
    without = deal(before, Hands(["a", "b"], out={"b"}))
    assert set(without) == {"a"}
    assert Counter(deal(without, Hands(["a", "b"]))) == {"a": 8, "b": 8}


def test_the_only_instance_is_never_out():
    assert deal((), Hands(["a"], out={"a"})) == ("a",) * SLOTS


def test_a_trial_serves_alone_when_nobody_else_is_left():
    assert deal((), Hands([], ["new"], 2)) == ("new",) * SLOTS
