"""What a kind of operation is made of: ordered, idempotent steps, and a way back.

A step is a plain function that may be called again at any time: after a crash, after a wait, after a retry. It looks at what is there
and does what is missing. It answers ``Done`` or ``Wait``, or raises: a permanent SitewrightError fails the operation, anything else is
tried again with back-off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.db import transaction

from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError

if TYPE_CHECKING:
    from sitewright.manager.operations.models import Operation
    from sitewright.system.clock import Clock


class StaleWorkerError(ConflictError):
    """Another worker has taken this operation over; what this one found is thrown away."""

    code = "stale_worker"


@dataclass(frozen=True, slots=True)
class Done:
    """The step is finished; ``detail`` is for the owner."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after ``seconds``, or when the doorbell rings; ``detail`` says what for."""

    seconds: float
    detail: str = ""


Outcome = Done | Wait


class Context:
    """What a step gets: the operation as it was claimed, its own name, the clock, and the only way to write."""

    def __init__(self, operation: Operation, step: str, clock: Clock) -> None:
        self.operation = operation
        self.step = step
        self.clock = clock
        self._holds = False

    @property
    def params(self) -> Mapping[str, Any]:
        """What was asked for."""
        params: dict[str, Any] = self.operation.params
        return params

    def found(self, step: str = "") -> Mapping[str, Any]:
        """What this step (or that earlier one) has remembered."""
        found: Mapping[str, Any] = self.params.get("found", {}).get(step or self.step, {})
        return found

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that begins by making sure that this claim still holds. Raises StaleWorkerError."""
        from sitewright.manager.operations.claims import hold  # noqa: PLC0415 - claims know contexts

        if self._holds:
            # The row is locked until the transaction around this one ends.
            yield
            return
        with transaction.atomic():
            hold(self.operation)
            self._holds = True
            try:
                yield
            finally:
                self._holds = False

    def remember(self, **values: Any) -> None:
        """Keep JSON values for later steps and later tries of this one; a retry by hand forgets what an unfinished step kept."""
        found = {**self.params.get("found", {}), self.step: {**self.found(), **values}}
        with self.fenced():
            self.operation.params = {**self.operation.params, "found": found}
            self.operation.save(update_fields=["params"])


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step: its constant name, its title in plain words, what it does."""

    name: str
    title: str
    run: Callable[[Context], Outcome]


class Handler(Protocol):
    """One kind of operation."""

    @property
    def kind(self) -> OperationKind:
        """Which."""
        ...

    @property
    def steps(self) -> tuple[StepPlan, ...]:
        """In order."""
        ...

    def undo(self, context: Context, reason: str) -> None:
        """Called before a failed or cancelled operation ends: undo the unfinished step. May be called twice."""
        ...

    def check_cancel(self, operation: Operation) -> None:
        """Raise ConflictError when it is too late to cancel."""
        ...
