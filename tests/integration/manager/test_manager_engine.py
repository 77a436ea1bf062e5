"""The durable job engine: claims, fences, leases, retries, and what a killed worker leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sitewright.domain.operation import LONGEST_SECONDS, MOST_ATTEMPTS, OperationKind, retry_delay
from sitewright.errors import ConflictError, InvalidValueError, UnavailableError
from sitewright.manager.operations import claims, services
from sitewright.manager.operations.engine import Engine
from sitewright.manager.operations.handlers import Context, Done, StaleWorkerError, StepPlan, Wait
from sitewright.manager.operations.models import Operation, Step
from sitewright.manager.operations.services import Ask
from sitewright.manager.sites.models import Site

STEPS = ("one", "two", "three")


class KilledError(BaseException):
    """As kill -9: nothing after it runs."""


@dataclass
class Script:
    """A handler whose steps do what the test says, in place of `restart`."""

    does: dict[str, list] = field(default_factory=dict)
    """Step name → what happens at each call; Done when nothing is left."""
    ran: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    too_late: bool = False
    kind: OperationKind = OperationKind.RESTART

    @property
    def steps(self):
        return tuple(StepPlan(name, f"Step {name}", self._runner(name)) for name in STEPS)

    def _runner(self, name):
        def run(context: Context):
            self.ran.append(name)
            waiting = self.does.get(name, [])
            thing = waiting.pop(0) if waiting else Done(f"{name} is done")
            if isinstance(thing, BaseException):
                raise thing
            return thing(context) if callable(thing) else thing

        return run

    def undo(self, context, reason):
        self.undone.append(f"{context.step}: {reason}")

    def check_cancel(self, operation):
        if self.too_late:
            raise ConflictError("It is too late.")


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def theatre(cast, stage, script, monkeypatch):
    """A stage whose engine plays the script, and a site to work on."""
    stage.engine = Engine({OperationKind.RESTART: script}, stage.clock)
    monkeypatch.setattr("sitewright.manager.operations.registry.all_handlers", lambda: {OperationKind.RESTART: script})
    stage.site = Site.objects.create(number=1, name="guestbook", team=cast.choir)
    stage.alice = cast.alice
    return stage


def submit(theatre, key=""):
    theatre.clock.advance(0.001)
    return services.submit(Ask(OperationKind.RESTART, theatre.site, theatre.alice, {}, key))


def states(operation):
    return list(Step.objects.filter(operation=operation).order_by("index").values_list("state", flat=True))


def test_steps_run_in_order_and_the_operation_succeeds(theatre, script):
    operation = submit(theatre)
    theatre.play()
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    assert script.ran == ["one", "two", "three"]
    assert states(operation) == ["done"] * 3
    assert operation.finished_at is not None


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_in_a_step_is_replaced_at_that_step(theatre, script, step):
    script.does[step] = [KilledError()]
    operation = submit(theatre)
    with pytest.raises(KilledError):
        theatre.turn("first")
    assert Operation.objects.get(id=operation.id).state == "running"
    theatre.clock.advance(claims.LEASE_SECONDS - 1)
    assert claims.reap(theatre.clock.now()) == 0
    theatre.clock.advance(2)
    assert claims.reap(theatre.clock.now()) == 1
    theatre.play()
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    done_before = STEPS[: STEPS.index(step)]
    assert script.ran == [*done_before, step, *STEPS[STEPS.index(step) :]]


def test_a_worker_that_wakes_up_too_late_cannot_write(theatre, script):
    operation = submit(theatre)
    stale = claims.claim(operation.id, "slow", theatre.clock.now())
    theatre.clock.advance(claims.LEASE_SECONDS + 1)
    claims.reap(theatre.clock.now())
    theatre.play()
    with pytest.raises(StaleWorkerError), Context(stale, "one", theatre.clock).fenced():
        pass
    theatre.engine.run(stale)
    assert script.ran == ["one", "two", "three"]
    assert Operation.objects.get(id=operation.id).state == "succeeded"


def test_a_worker_overtaken_within_a_step_throws_its_result_away(theatre, script):
    def overtaken(context):
        Operation.objects.filter(id=context.operation.id).update(fence=99)
        return Done("nobody reads this")

    script.does["two"] = [overtaken]
    operation = submit(theatre)
    theatre.turn()
    assert states(operation) == ["done", "running", "pending"]
    assert "nobody" not in Step.objects.get(operation=operation, index=1).detail


def test_only_one_of_two_workers_gets_an_operation(theatre):
    operation = submit(theatre)
    assert claims.claim(operation.id, "a", theatre.clock.now()) is not None
    assert claims.claim(operation.id, "b", theatre.clock.now()) is None


def test_a_renewed_lease_is_not_taken_over(theatre):
    operation = claims.claim(submit(theatre).id, "a", theatre.clock.now())
    for _ in range(5):
        theatre.clock.advance(claims.LEASE_SECONDS - 5)
        claims.renew([claims.Claim(operation.id, operation.fence)], theatre.clock.now())
        assert claims.reap(theatre.clock.now()) == 0


def test_a_stale_claim_renews_nothing(theatre):
    operation = claims.claim(submit(theatre).id, "a", theatre.clock.now())
    claims.renew([claims.Claim(operation.id, operation.fence - 1)], theatre.clock.now() + 1000)
    theatre.clock.advance(claims.LEASE_SECONDS + 1)
    assert claims.reap(theatre.clock.now()) == 1


def test_a_passing_error_is_tried_again_with_growing_pauses(theatre, script):
    script.does["two"] = [UnavailableError("The node is away.")] * 3
    operation = submit(theatre)
    began = theatre.clock.now()
    theatre.play()
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    assert script.ran == ["one", "two", "two", "two", "two", "three"]
    assert theatre.clock.now() - began >= retry_delay(1) + retry_delay(2) + retry_delay(3)


def test_a_step_that_waits_is_not_counted_as_failing(theatre, script):
    script.does["two"] = [Wait(1, "Still building.")] * (MOST_ATTEMPTS * 2)
    operation = submit(theatre)
    theatre.play()
    assert Operation.objects.get(id=operation.id).state == "succeeded"


def test_what_a_step_waits_for_is_shown(theatre, script):
    script.does["two"] = [Wait(60, "Number 3 in the queue.")]
    operation = submit(theatre)
    theatre.turn()
    step = Step.objects.get(operation=operation, index=1)
    assert (step.state, step.detail) == ("running", "Number 3 in the queue.")


def test_a_ring_ends_a_wait(theatre, script):
    script.does["two"] = [Wait(3600)]
    operation = submit(theatre)
    theatre.turn()
    services.ring_site(theatre.site.id)
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "succeeded"


def test_a_ring_while_the_step_still_looks_is_not_lost(theatre, script):
    def looks(context):
        theatre.clock.advance(0.01)
        services.ring_site(theatre.site.id)
        return Wait(3600)

    script.does["two"] = [looks]
    operation = submit(theatre)
    theatre.turn()
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "succeeded"


def test_after_the_last_try_it_fails_and_says_why(theatre, script):
    script.does["two"] = [UnavailableError("The node is away.", resolution="Start it.")] * MOST_ATTEMPTS
    operation = submit(theatre)
    theatre.play(300)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert (operation.error_code, operation.error_message) == ("unavailable", "The node is away.")
    assert operation.error_resolution == "Start it."
    assert states(operation) == ["done", "failed", "pending"]
    assert script.undone == ["two: The node is away."]


def test_a_permanent_error_fails_at_once(theatre, script):
    script.does["one"] = [InvalidValueError("That can never work.")]
    operation = submit(theatre)
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "failed"
    assert script.ran == ["one"]


def test_an_error_nobody_foresaw_is_not_shown_to_people(theatre, script):
    script.does["one"] = [RuntimeError("password=hunter2")] * MOST_ATTEMPTS
    operation = submit(theatre)
    theatre.play(300)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert "hunter2" not in operation.error_message + operation.error_details
    assert all("hunter2" not in step.detail for step in operation.steps.all())


def test_a_failing_undo_does_not_keep_an_operation_alive(theatre, script, monkeypatch):
    def broken(context, reason):
        raise RuntimeError("undo is broken")

    script.does["one"] = [InvalidValueError("No.")]
    monkeypatch.setattr(script, "undo", broken)
    operation = submit(theatre)
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "failed"


def test_nothing_blocks_a_site_for_ever(theatre, script):
    script.does["one"] = [Wait(10, "Waiting for a node that never comes.")] * 1000
    first, second = submit(theatre), submit(theatre)
    theatre.play(LONGEST_SECONDS + 60, step=10.0)
    first.refresh_from_db()
    assert (first.state, first.error_code) == ("failed", "overdue")
    second.refresh_from_db()
    assert second.state in {"running", "waiting", "failed"}


def test_operations_of_one_site_run_one_after_another_in_order(theatre, script):
    script.does["one"] = [Wait(5)]
    first, second, third = submit(theatre), submit(theatre), submit(theatre)
    theatre.turn()
    assert [Operation.objects.get(id=one.id).state for one in (first, second, third)] == ["waiting", "queued", "queued"]
    theatre.play()
    ends = [Operation.objects.get(id=one.id).finished_at for one in (first, second, third)]
    assert ends == sorted(ends)
    assert {Operation.objects.get(id=one.id).state for one in (first, second, third)} == {"succeeded"}


def test_the_database_refuses_two_running_operations_of_a_site(theatre):
    first, second = submit(theatre), submit(theatre)
    assert claims.claim(first.id, "a", theatre.clock.now()) is not None
    assert claims.claim(second.id, "b", theatre.clock.now()) is None


def test_sites_do_not_wait_for_each_other(theatre, cast, script):
    script.does["one"] = [Wait(60)]
    submit(theatre)
    theatre.turn()
    other = Site.objects.create(number=2, name="notes", team=cast.choir)
    operation = services.submit(Ask(OperationKind.RESTART, other, cast.alice))
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "succeeded"


def test_asking_twice_with_one_key_gives_one_operation(theatre):
    assert submit(theatre, "k").id == submit(theatre, "k").id
    assert Operation.objects.count() == 1


def test_a_key_of_another_person_is_another_key(theatre, cast):
    mine = submit(theatre, "k")
    bobs = services.submit(Ask(OperationKind.RESTART, theatre.site, cast.bob, {}, "k"))
    assert mine.id != bobs.id


def test_a_queued_operation_is_cancelled_at_once(theatre):
    submit(theatre)
    second = submit(theatre)
    services.cancel(second)
    assert Operation.objects.get(id=second.id).state == "cancelled"
    assert states(second) == ["skipped"] * 3


def test_a_waiting_operation_is_cancelled_and_undone_at_the_next_turn(theatre, script):
    script.does["two"] = [Wait(3600)]
    operation = submit(theatre)
    theatre.turn()
    services.cancel(operation)
    theatre.turn()
    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert states(operation) == ["done", "skipped", "pending"]
    assert script.undone[0].startswith("two:")


def test_a_running_operation_is_cancelled_after_its_step(theatre, script):
    def ask(context):
        services.cancel(Operation.objects.get(id=context.operation.id))
        return Done()

    script.does["one"] = [ask]
    operation = submit(theatre)
    theatre.turn()
    assert Operation.objects.get(id=operation.id).state == "cancelled"
    assert script.ran == ["one"]


def test_too_late_to_cancel_is_said(theatre, script):
    script.too_late = True
    script.does["one"] = [Wait(60)]
    operation = submit(theatre)
    theatre.turn()
    with pytest.raises(ConflictError, match="too late"):
        services.cancel(Operation.objects.get(id=operation.id))


def test_what_is_over_cannot_be_cancelled(theatre):
    operation = submit(theatre)
    theatre.play()
    with pytest.raises(ConflictError):
        services.cancel(Operation.objects.get(id=operation.id))


def test_a_retry_goes_on_at_the_step_that_failed(theatre, script):
    script.does["two"] = [InvalidValueError("Not yet.")]
    operation = submit(theatre)
    theatre.play()
    services.retry(Operation.objects.get(id=operation.id))
    theatre.play()
    operation.refresh_from_db()
    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert script.ran == ["one", "two", "two", "three"]


def test_a_retry_forgets_what_the_failed_step_kept_and_remembers_the_finished(theatre, script):
    def keeps(value, then):
        def run(context):
            context.remember(found=value)
            if then is not None:
                raise then
            return Done()

        return run

    script.does["one"] = [keeps("kept", None)]
    script.does["two"] = [keeps("forgotten", InvalidValueError("No."))]
    operation = submit(theatre)
    theatre.play()
    services.retry(Operation.objects.get(id=operation.id))
    assert Operation.objects.get(id=operation.id).params["found"] == {"one": {"found": "kept"}}


def test_only_failed_and_cancelled_ones_are_retried(theatre):
    operation = submit(theatre)
    with pytest.raises(ConflictError):
        services.retry(operation)


def test_a_retried_operation_waits_its_turn(theatre, script):
    script.does["one"] = [InvalidValueError("No."), Wait(5)]
    failed = submit(theatre)
    theatre.turn()
    running = submit(theatre)
    theatre.turn()
    theatre.clock.advance(1)
    services.retry(Operation.objects.get(id=failed.id))
    assert theatre.turn() == []
    theatre.play()
    assert {Operation.objects.get(id=one.id).state for one in (failed, running)} == {"succeeded"}
