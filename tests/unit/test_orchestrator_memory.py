"""A channel of which nothing is to be done leaves memory, and is served again after a start without being planned."""

from pathlib import Path

import pytest

from sitewright.domain.route import Affinity, ChannelRoute, Presence
from sitewright.domain.sleep import SleepStage
from sitewright.orchestrator import memory as module
from sitewright.orchestrator.memory import MemoryStore
from sitewright.orchestrator.model import Sleep
from sitewright.orchestrator.settled import Settled
from sitewright.testing.orchestra import CHANNEL_ID

ASLEEP = ChannelRoute(CHANNEL_ID, ("guestbook.localhost",), presence=Presence.ASLEEP)
STATIC = ChannelRoute(CHANNEL_ID, ("guestbook.localhost",), public=Path("/sites/x/1"), fallback="index.html", changeable=True)
STICKY = ChannelRoute(CHANNEL_ID, ("guestbook.localhost",), presence=Presence.ASLEEP, affinity=Affinity.COOKIE)


def settle(folder, route, *, sleep=None):
    store = MemoryStore(folder)
    memory = store.of(CHANNEL_ID)
    memory.applied, memory.route, memory.settled = 3, route, True
    memory.sleep = sleep or Sleep()
    store.save(CHANNEL_ID)
    store.let_go(CHANNEL_ID)
    return store


@pytest.mark.parametrize("route", [ASLEEP, STATIC, STICKY])
def test_what_was_settled_is_known_after_a_restart(tmp_path, route):
    settle(tmp_path, route)
    store = MemoryStore(tmp_path)
    assert list(store.settled()) == [Settled(3, route, stale=False)]
    assert store.loaded(CHANNEL_ID) is None
    assert store.resting(CHANNEL_ID).applied == 3


def test_a_channel_at_rest_keeps_what_is_told_of_its_sleep(tmp_path):
    sleep = Sleep(stage=SleepStage.STOPPED, since=5.0, saved_bytes=48, shape="x")
    store = settle(tmp_path, ASLEEP, sleep=sleep)
    later = MemoryStore(tmp_path)
    list(later.settled())
    for resting in (store.resting(CHANNEL_ID), later.resting(CHANNEL_ID)):
        assert (resting.sleep.stage, resting.sleep.since, resting.sleep.saved_bytes) == (SleepStage.STOPPED, 5.0, 48)
    assert store.of(CHANNEL_ID).sleep == sleep


def test_what_another_planner_settled_is_served_as_it_was_and_looked_at_again(tmp_path, monkeypatch):
    settle(tmp_path, ASLEEP)
    monkeypatch.setattr(module, "planner_version", lambda: "another")
    store = MemoryStore(tmp_path)
    assert list(store.settled()) == [Settled(3, ASLEEP, stale=True)]
    assert not store.of(CHANNEL_ID).settled


def test_a_damaged_file_settles_nothing(tmp_path):
    settle(tmp_path, ASLEEP)
    path = tmp_path / f"{CHANNEL_ID}.json"
    path.write_bytes(path.read_bytes().replace(b"guestbook", b"guestbooX"))
    store = MemoryStore(tmp_path)
    assert list(store.settled()) == []
    assert not store.of(CHANNEL_ID).known


def test_a_channel_that_is_busy_stays_in_memory(tmp_path):
    store = settle(tmp_path, ASLEEP)
    store.of(CHANNEL_ID).instance("instance2222")
    store.let_go(CHANNEL_ID)
    assert store.loaded(CHANNEL_ID) is not None
