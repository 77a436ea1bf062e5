"""Plans as rows: which one a team has, changing one, and what then has to reach its sites."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from sitewright.domain.limits import MIB, Limits, VisitLimits
from sitewright.domain.sleep import MINUTE, SleepPolicy, SleepStage
from sitewright.domain.states import Power
from sitewright.errors import ConflictError, ForbiddenError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.teams.allowance import Allowance
from sitewright.manager.teams.models import Plan, Team
from sitewright.manager.teams.services import check_room

changed_plans = Event()
"""Set when a plan has begun to spread in this process; whoever spreads plans clears it."""

FIGURES: Mapping[str, tuple[int, int]] = {
    "memory_mb": (32, 1024 * 1024),
    "cpu_millicores": (50, 1_000_000),
    "cpu_weight": (1, 10_000),
    "pids": (8, 100_000),
    "open_files": (64, 1_000_000),
    "disk_mb": (1, 1024 * 1024),
    "log_kb_per_second": (1, 100_000),
    "connections": (0, 100_000),
    "requests_per_second": (0, 1_000_000),
    "body_mb": (0, 100_000),
    "freeze_after_minutes": (0, 1440),
    "stop_after_minutes": (0, 1440),
}
"""Least and most of every figure."""
FLAGS = frozenset({"always_on", "open", "is_default"})
NOT_FOR_SITES = frozenset({"open", "is_default", "name"})
"""What of a plan concerns no running site."""


def allowance_of(plan: Plan) -> Allowance:
    """A row as a value."""
    return Allowance(
        name=plan.name,
        stamp=f"{plan.id}:{plan.revision}",
        process=Limits(
            memory_bytes=plan.memory_mb * MIB,
            cpu_millicores=plan.cpu_millicores,
            cpu_weight=plan.cpu_weight,
            pids=plan.pids,
            open_files=plan.open_files,
            log_bytes_per_second=plan.log_kb_per_second * 1024,
        ),
        disk_bytes=plan.disk_mb * MIB,
        visits=VisitLimits(plan.connections, plan.requests_per_second, plan.body_mb),
        always_on=plan.always_on,
        sleep=SleepPolicy(plan.freeze_after_minutes * MINUTE, plan.stop_after_minutes * MINUTE),
    )


class Book:
    """All plans, read once: for many teams in one query."""

    def __init__(self) -> None:
        self._plans = {plan.id: plan for plan in Plan.objects.all()}
        self._default = next((plan for plan in self._plans.values() if plan.is_default), None)

    def plan(self, team: Team) -> Plan:
        """The team's plan; the default one when it has none of its own."""
        return self._plans.get(team.plan_id or "") or self._default or Plan(name="standard")

    def allowance(self, team: Team) -> Allowance:
        """What that allows."""
        return allowance_of(self.plan(team))


def plan_of(team: Team) -> Plan:
    """The team's plan."""
    return Book().plan(team)


def allowance_for(team: Team) -> Allowance:
    """What the team's plan allows."""
    return allowance_of(plan_of(team))


def plan_named(name: str) -> Plan:
    """The plan of that name. Raises NotFoundError."""
    plan = Plan.objects.filter(name=name).first()
    if plan is None:
        raise NotFoundError(f"There is no plan “{name[:40]}”.", resolution="The list of plans shows what there is.")
    return plan


def _only_administrators(user: User) -> None:
    if not user.is_staff:
        raise ForbiddenError("Only administrators of the platform change plans.")


def _checked(fields: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    for name, (least, most) in FIGURES.items():
        if name in fields and not least <= int(fields[name]) <= most:
            raise InvalidValueError(f"{name} cannot be {fields[name]}.", details=f"It is {least} to {most}.")
    text = str(fields.get("name", plan.name)).strip()
    if not text or len(text) > 40 or not text.isprintable() or "/" in text:
        raise InvalidValueError("A plan needs a name of at most 40 characters, without a slash.")
    always_on = fields.get("always_on", plan.always_on)
    if not always_on and not fields.get("stop_after_minutes", plan.stop_after_minutes):
        raise InvalidValueError(
            "A plan that is not always on stops its sites after some minutes.", resolution="Give the minutes, or make it always on."
        )
    return {**fields, "name": text}


def save_plan(user: User, plan: Plan, fields: Mapping[str, Any]) -> Plan:
    """Make or change *plan*; its sites follow within seconds to minutes. Raises ForbiddenError, InvalidValueError, ConflictError."""
    _only_administrators(user)
    checked = _checked(fields, plan)
    new = plan._state.adding
    changed = {name for name, value in checked.items() if getattr(plan, name) != value}
    if plan.is_default and checked.get("is_default") is False:
        raise InvalidValueError("There is always a default plan.", resolution="Make another plan the default one.")
    try:
        with transaction.atomic():
            if checked.get("is_default"):
                Plan.objects.filter(is_default=True).exclude(pk=plan.pk).update(is_default=False)
            for name, value in checked.items():
                setattr(plan, name, value)
            plan.save()
            if (not new and changed - NOT_FOR_SITES) or "is_default" in changed:
                Plan.objects.filter(pk=plan.pk).update(revision=F("revision") + 1, spreading=True)
                transaction.on_commit(changed_plans.set)
    except IntegrityError as error:
        raise ConflictError(f"There is a plan “{checked['name']}” already.", resolution="Choose another name.") from error
    plan.refresh_from_db()
    return plan


def give_plan(user: User, team: Team, plan: Plan) -> None:
    """Give *team* that plan; its sites follow. Owners may choose an open one; the caller has checked that.

    Raises ForbiddenError, and QuotaError when its sites would take more than the team may have; administrators may give it all the same.
    """
    if not plan.open and not user.is_staff:
        raise ForbiddenError(f"The plan “{plan.name}” is given by administrators of the platform.", resolution="Ask one of them.")
    with transaction.atomic():
        if not user.is_staff:
            _check_room(Team.objects.select_for_update().get(pk=team.pk), allowance_of(plan))
        Team.objects.filter(pk=team.pk).update(plan=plan)
        Plan.objects.filter(pk=plan.pk).update(spreading=True)
        transaction.on_commit(changed_plans.set)
    team.refresh_from_db()


def weigh_builds(user: User, team: Team, weight: int) -> None:
    """Let the team's builds weigh so much in the queue, against other teams'. Raises ForbiddenError for all but administrators."""
    if not user.is_staff:
        raise ForbiddenError("What a team's builds weigh is set by administrators of the platform.", resolution="Ask one of them.")
    Team.objects.filter(pk=team.pk).update(build_weight=weight)
    team.refresh_from_db()


def _check_room(team: Team, allowance: Allowance) -> None:
    """Raise QuotaError when the team's sites, as they are scaled, would have no room under that plan."""
    from sitewright.manager.sites.models import Channel  # noqa: PLC0415 - teams is below sites
    from sitewright.manager.sites.scale import wanted_memory  # noqa: PLC0415

    counted = Channel.objects.filter(site__team=team, power=Power.ON.value).exclude(sleep_stage=SleepStage.STOPPED.value)
    more = sum(wanted_memory(one, allowance) - one.wanted_memory_bytes for one in counted.select_related("release", "canary_release"))
    if more > 0:
        check_room(team, memory_bytes=more)
