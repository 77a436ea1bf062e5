"""Teams and plans as the API takes and shows them."""

from __future__ import annotations

from ninja import Field, Schema

from sitewright.manager.teams.models import MOST_BUILD_WEIGHT, Plan


class PlanOut(Schema):
    """What one process of a site may use, when it sleeps, and what visitors may ask of it; 0 for a figure of visits is the platform's own.

    ``open``: an owner of a team may choose it; else administrators give it. ``disk_mb`` is for one release, and as much
    again for the site's own data.
    """

    name: str
    memory_mb: int
    cpu_millicores: int
    cpu_weight: int
    pids: int
    open_files: int
    disk_mb: int
    log_kb_per_second: int
    connections: int
    requests_per_second: int
    body_mb: int
    always_on: bool
    freeze_after_minutes: int
    stop_after_minutes: int
    is_default: bool
    open: bool


class PlanList(Schema):
    """All plans, smallest first."""

    items: list[PlanOut]
    next: str | None


class PlanPatch(Schema):
    """What to change of a plan; what is left out stays."""

    name: str | None = Field(None, max_length=40, examples=["large"])
    memory_mb: int | None = None
    cpu_millicores: int | None = None
    cpu_weight: int | None = None
    pids: int | None = None
    open_files: int | None = None
    disk_mb: int | None = None
    log_kb_per_second: int | None = None
    connections: int | None = None
    requests_per_second: int | None = None
    body_mb: int | None = None
    always_on: bool | None = None
    freeze_after_minutes: int | None = None
    stop_after_minutes: int | None = None
    is_default: bool | None = None
    open: bool | None = None


class PlanIn(PlanPatch):
    """A new plan; what is left out is as in the plan `standard`."""

    name: str = Field(max_length=40, examples=["large"])


class TeamPatch(Schema):
    """What to change of a team; what is left out stays. ``plan``: the name of the plan that it is to have. ``build_weight``: what its
    builds weigh in the queue, against other teams' (100 is usual); administrators set it."""

    plan: str | None = Field(None, max_length=40, examples=["small"])
    build_weight: int | None = Field(None, ge=1, le=MOST_BUILD_WEIGHT, examples=[100])


def plan_out(plan: Plan) -> PlanOut:
    """A row as the API shows it."""
    return PlanOut(**{name: getattr(plan, name) for name in PlanOut.model_fields})
