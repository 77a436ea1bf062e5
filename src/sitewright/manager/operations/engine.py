"""Runs one claimed operation: step after step, each result written under the claim's fencing number.

docs/explanation/operations.md has the table of what happens when any of this is cut off.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, QuerySet, Value
from django.db.models.functions import Coalesce

from sitewright.domain.operation import MOST_ATTEMPTS, OperationKind, retry_delay
from sitewright.domain.states import OperationState, StepState, check_transition
from sitewright.errors import SitewrightError
from sitewright.manager.operations.claims import hold, moment
from sitewright.manager.operations.handlers import Context, Handler, Outcome, StaleWorkerError, StepPlan, Wait
from sitewright.manager.operations.models import Operation, Step
from sitewright.manager.runtime import runtime
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)


class CancelledError(SitewrightError):
    """This was cancelled; what was there before is kept."""

    code = "cancelled"


class OverdueError(SitewrightError):
    """This took too long and was given up, so that it does not block the site."""

    code = "overdue"


class Engine:
    """Knows the handlers and the clock; holds no state of its own, so any number of them may run."""

    def __init__(self, handlers: Mapping[OperationKind, Handler], clock: Clock) -> None:
        self._handlers = handlers
        self._clock = clock

    def run(self, operation: Operation) -> None:
        """Work on a claimed operation until it ends, waits, or is taken over by somebody else."""
        fields = {"operation": operation.id, "site": operation.site_name, "kind": operation.kind}
        try:
            begun = False
            while begun := self._advance(operation, begun=begun):
                pass
        except StaleWorkerError:
            log.warning("operation.taken_over", extra=fields)
            return
        log.info("operation.paused", extra={**fields, "state": operation.state, "step": operation.step})
        if operation.state == OperationState.SUCCEEDED:
            self._afterwards(operation, fields)

    def _afterwards(self, operation: Operation, fields: Mapping[str, str]) -> None:
        """What nobody has to wait for. Lost with a killed worker, so nothing depends on it."""
        work = getattr(self._handlers[OperationKind(operation.kind)], "afterwards", None)
        try:
            if work is not None:
                work(operation)
        except Exception:
            log.exception("operation.afterwards_failed", extra=dict(fields))

    def _advance(self, operation: Operation, *, begun: bool) -> bool:
        """One step, *begun* when the one before it has written so. Whether to go on at once: the next one is begun then."""
        handler = self._handlers[OperationKind(operation.kind)]
        plan = handler.steps[operation.step]
        context = Context(operation, plan.name, self._clock)
        stop = self._reason_to_stop(operation)
        if stop is not None:
            self._give_up(context, handler, stop)
            return False
        try:
            if not begun:
                self._begin(operation)
            outcome = plan.run(context)
        except StaleWorkerError:
            raise
        except Exception as error:
            self._stumble(context, handler, plan, error)
            return False
        return self._finish(operation, outcome, last=operation.step + 1 == len(handler.steps))

    def _reason_to_stop(self, operation: Operation) -> SitewrightError | None:
        """The row was read when it was claimed, and again when the step before was finished."""
        if operation.cancel_asked:
            return CancelledError()
        if moment(self._clock.now()) > operation.deadline:
            return OverdueError(resolution="Try it again; if it happens again, ask an administrator to look at the platform's log.")
        return None

    def _begin(self, operation: Operation) -> None:
        with transaction.atomic():
            hold(operation)
            operation.refresh_from_db(fields=["run_after"])
            if self._run_step(operation, moment(self._clock.now())):
                self._tell(operation)

    def _finish(self, operation: Operation, outcome: Outcome, *, last: bool) -> bool:
        now = moment(self._clock.now())
        with transaction.atomic():
            hold(operation)
            self._tell(operation)
            if isinstance(outcome, Wait):
                if outcome.detail:
                    self._steps(operation).update(detail=outcome.detail)
                pause = 0.0 if self._rung(operation) else outcome.seconds
                self._write(operation, OperationState.WAITING, run_after=moment(self._clock.now() + pause), attempts=0)
                return False
            if not self._steps(operation, StepState.RUNNING).update(state=StepState.DONE.value, detail=outcome.detail, finished_at=now):
                self._write_step(self._step(operation), StepState.DONE, detail=outcome.detail, finished_at=now)
            if last:
                self._write(operation, OperationState.SUCCEEDED, step=operation.step + 1, attempts=0, finished_at=now)
                return False
            Operation.objects.filter(id=operation.id).update(step=operation.step + 1, attempts=0)
            operation.step += 1
            operation.attempts = 0
            operation.refresh_from_db(fields=["run_after", "cancel_asked"])
            self._run_step(operation, now)
        return True

    def _run_step(self, operation: Operation, now: datetime) -> bool:
        """The operation's step runs from now on; False when it does already. One question: a push waits for each of these."""
        begun = {"state": StepState.RUNNING.value, "started_at": Coalesce("started_at", Value(now, DateTimeField()))}
        return bool(self._steps(operation, StepState.PENDING).update(**begun))

    @staticmethod
    def _steps(operation: Operation, *states: StepState) -> QuerySet[Step]:
        """The present step, if it is in one of the states."""
        rows = Step.objects.filter(operation=operation, index=operation.step)
        return rows.filter(state__in=[state.value for state in states]) if states else rows

    @staticmethod
    def _rung(operation: Operation) -> bool:
        """Whether what the step waits for happened while it looked: the doorbell has moved ``run_after`` since it began."""
        return bool(Operation.objects.exclude(run_after=operation.run_after).filter(id=operation.id).exists())

    def _stumble(self, context: Context, handler: Handler, plan: StepPlan, error: Exception) -> None:
        """A step raised: try again later, or give up."""
        operation = context.operation
        fields = {"operation": operation.id, "site": operation.site_name, "step": plan.name, "attempts": operation.attempts + 1}
        log.warning("operation.step_failed", extra=fields, exc_info=None if isinstance(error, SitewrightError) else error)
        known = error if isinstance(error, SitewrightError) else _unknown()
        if known.permanent or operation.attempts + 1 >= MOST_ATTEMPTS:
            self._give_up(context, handler, known)
            return
        attempts = operation.attempts + 1
        delay = retry_delay(attempts)
        with transaction.atomic():
            hold(operation)
            self._tell(operation)
            step = self._step(operation)
            self._write_step(step, StepState.PENDING, attempts=step.attempts + 1, detail=f"{known.message} Trying again in {delay:.0f} s.")
            self._write(operation, OperationState.WAITING, attempts=attempts, run_after=moment(self._clock.now() + delay))

    def _give_up(self, context: Context, handler: Handler, error: SitewrightError) -> None:
        """Put back what was there before, then say why it ended."""
        operation = context.operation
        cancelled = isinstance(error, CancelledError)
        try:
            handler.undo(context, error.message)
        except StaleWorkerError:
            raise
        except Exception:
            log.exception("operation.undo_failed", extra={"operation": operation.id, "site": operation.site_name})
        now = moment(self._clock.now())
        with transaction.atomic():
            hold(operation)
            self._tell(operation)
            step = self._step(operation)
            if step.state == StepState.PENDING:
                self._write_step(step, StepState.RUNNING, started_at=step.started_at or now)
            ended = StepState.SKIPPED if cancelled else StepState.FAILED
            self._write_step(step, ended, detail=error.message, attempts=step.attempts + 1, finished_at=now)
            self._write(
                operation,
                OperationState.CANCELLED if cancelled else OperationState.FAILED,
                finished_at=now,
                error_code=error.code,
                error_message=error.message,
                error_details=error.details,
                error_resolution=error.resolution,
            )

    @staticmethod
    def _tell(operation: Operation) -> None:
        """Streams show it as soon as the transaction is committed."""
        operation_id = operation.id
        transaction.on_commit(lambda: runtime().changes.tell(operation_id))

    @staticmethod
    def _step(operation: Operation) -> Step:
        return Step.objects.get(operation=operation, index=operation.step)

    @staticmethod
    def _write_step(step: Step, state: StepState, **fields: Any) -> None:
        check_transition(StepState(step.state), state)
        Step.objects.filter(pk=step.pk).update(state=state.value, **fields)
        step.state = state.value

    @staticmethod
    def _write(operation: Operation, state: OperationState, **fields: Any) -> None:
        check_transition(OperationState.RUNNING, state)
        Operation.objects.filter(id=operation.id).update(state=state.value, lease_owner="", lease_until=None, **fields)
        operation.state = state.value


def _unknown() -> SitewrightError:
    """What a person is told about an error nobody foresaw; the log has the traceback."""
    error = SitewrightError(
        "Something went wrong inside the platform.", details="The platform's log says what.", resolution="Try again in a minute."
    )
    error.permanent = False
    return error
