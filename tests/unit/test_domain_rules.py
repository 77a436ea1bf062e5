"""The rules of the domain: back-off, retries, quotas, the derived state of a site, spreading over slots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.domain.backoff import FREE_RESTARTS, LONGEST_DELAY_SECONDS, RESET_AFTER_SECONDS, crashes_in_a_row, restart_delay
from sitewright.domain.channel import Channel
from sitewright.domain.names import ChannelName
from sitewright.domain.operation import LONGEST_SECONDS, MOST_ATTEMPTS, OperationKind, retry_delay
from sitewright.domain.route import SLOTS, spread
from sitewright.domain.site import Sighting, state_of
from sitewright.domain.states import InstanceState, Power, SiteState
from sitewright.domain.team import Quota, check_quota
from sitewright.errors import QuotaError

INSTANCES = st.lists(st.sampled_from(InstanceState), max_size=4).map(tuple)


def seen(**fields):
    base = {"power": Power.ON, "released": True, "static": False, "web": (InstanceState.READY,), "operation": None}
    return Sighting(**{**base, **fields})


@pytest.mark.parametrize(("crashes", "seconds"), [(1, 0), (3, 0), (4, 30), (5, 60), (6, 120), (9, 960), (10, 960), (1000, 960)])
def test_a_crashed_instance_starts_at_once_three_times_then_more_and_more_slowly(crashes, seconds):
    assert restart_delay(crashes) == seconds


@given(st.integers(1, 10_000))
def test_the_delay_never_shrinks_and_never_exceeds_its_bound(crashes):
    assert restart_delay(crashes) <= restart_delay(crashes + 1) <= LONGEST_DELAY_SECONDS


@given(st.integers(0, 1000), st.floats(0, 1e6))
def test_five_good_minutes_forgive_what_was_before(previous, ready_for):
    expected = 1 if ready_for >= RESET_AFTER_SECONDS else previous + 1
    assert crashes_in_a_row(previous, ready_for) == expected
    assert restart_delay(crashes_in_a_row(FREE_RESTARTS + 5, RESET_AFTER_SECONDS)) == 0


@given(st.integers(1, 100))
def test_retries_wait_longer_each_time_and_end_long_before_the_deadline(attempt):
    assert 1 <= retry_delay(attempt) <= retry_delay(attempt + 1) <= 30
    assert sum(retry_delay(n) for n in range(1, MOST_ATTEMPTS)) < LONGEST_SECONDS / 10


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, SiteState.RUNNING),
        ({"released": False, "web": ()}, SiteState.NEW),
        ({"released": False, "web": (), "operation": OperationKind.CREATE}, SiteState.DEPLOYING),
        ({"operation": OperationKind.DEPLOY}, SiteState.DEPLOYING),
        ({"operation": OperationKind.DELETE}, SiteState.DELETING),
        ({"operation": OperationKind.ENV}, SiteState.RUNNING),
        ({"power": Power.OFF}, SiteState.STOPPED),
        ({"static": True, "web": ()}, SiteState.RUNNING),
        ({"web": (InstanceState.FROZEN,)}, SiteState.SLEEPING),
        ({"web": (InstanceState.CRASHED,)}, SiteState.CRASHED),
        ({"web": (InstanceState.CRASHED, InstanceState.STARTING)}, SiteState.STARTING),
        ({"web": (InstanceState.CRASHED, InstanceState.READY)}, SiteState.RUNNING),
        ({"web": ()}, SiteState.STARTING),
    ],
)
def test_a_sites_state_follows_from_what_is_wanted_done_and_running(fields, state):
    assert state_of(seen(**fields)) is state


@given(INSTANCES, st.sampled_from(Power), st.booleans(), st.booleans(), st.sampled_from([None, *OperationKind]))
def test_a_sites_state_is_always_one_and_running_only_when_something_answers(web, power, released, static, operation):
    state = state_of(Sighting(power, released, static, web, operation))
    if state is SiteState.RUNNING:
        assert released
        assert power is Power.ON
        assert static or InstanceState.READY in web


def test_a_quota_is_kept_to_the_last_byte():
    allowed = Quota(sites=2, disk_bytes=100, memory_bytes=100)
    check_quota(allowed, Quota(2, 100, 100))
    for used in (Quota(3, 0, 0), Quota(0, 101, 0), Quota(0, 0, 101)):
        with pytest.raises(QuotaError) as caught:
            check_quota(allowed, used)
        assert caught.value.resolution


@given(st.integers(1, 40))
def test_slots_are_spread_evenly(count):
    slots = spread(tuple(Path(str(number)) for number in range(count)))
    assert len(slots) == SLOTS
    uses = [slots.count(one) for one in set(slots)]
    assert max(uses) - min(uses) <= 1


def test_nothing_to_spread_is_nothing():
    assert spread(()) == ()


def test_a_channel_is_a_value():
    one = Channel(id="a", site_id="b", name=ChannelName("production"))
    assert one == Channel(id="a", site_id="b", name=ChannelName("production"))
    with pytest.raises(AttributeError):
        one.generation = 2
