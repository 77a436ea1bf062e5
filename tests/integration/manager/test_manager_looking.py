"""When a worker looks: at the moment when something is due or a lease ends, and otherwise seldom."""

from __future__ import annotations

import math

import pytest

from sitewright.manager.operations import claims, worker
from sitewright.manager.operations.doorbell import EmbeddedDoorbell
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.worker import Worker
from sitewright.manager.teams.plans import changed_plans


@pytest.fixture
def idle(stage, guestbook):
    return Worker(stage.engine, stage.clock, EmbeddedDoorbell(), threads=0)


def test_nothing_is_ahead_when_all_is_done(idle):
    assert claims.ahead() == (math.inf, math.inf)
    idle._look()
    assert idle._pause == worker.IDLE_SECONDS


def test_a_worker_that_nobody_wakes_looks_more_often(stage, guestbook):
    alone = Worker(stage.engine, stage.clock, EmbeddedDoorbell(), threads=0, woken=False)
    alone._look()
    assert alone._pause == worker.POLL_SECONDS


def test_the_next_look_is_when_the_next_operation_is_due(idle, stage):
    Operation.objects.update(state="waiting", run_after=claims.moment(stage.clock.now() + 0.5))
    idle._look()
    assert 0 < idle._pause <= 0.5
    stage.clock.advance(1)
    idle._look()
    assert idle._ready.get_nowait() == Operation.objects.get().id


def test_a_dead_workers_operation_is_offered_by_the_look_that_finds_its_lease_ended(idle, stage):
    Operation.objects.update(state="running", lease_until=claims.moment(stage.clock.now() + 8))
    assert claims.ahead()[1] == pytest.approx(stage.clock.now() + 8)
    idle._look()
    assert idle._ready.empty()
    stage.clock.advance(8.5)
    idle._look()
    assert idle._ready.get_nowait() == Operation.objects.get().id
    assert claims.LEASE_SECONDS + worker.IDLE_SECONDS <= 10


@pytest.mark.django_db(transaction=True)
def test_a_plan_that_is_changed_here_spreads_at_once(cast, api):
    changed_plans.clear()
    assert api(cast.ada)("PATCH", "/plans/standard", {"memory_mb": 192}).status_code == 200
    assert changed_plans.is_set()
