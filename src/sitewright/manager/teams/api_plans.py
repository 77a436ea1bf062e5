"""/plans: what teams may use."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from sitewright.manager.api.auth import person
from sitewright.manager.teams.models import Plan
from sitewright.manager.teams.plans import plan_named, save_plan
from sitewright.manager.teams.schemas import PlanIn, PlanList, PlanOut, PlanPatch, plan_out

router = Router(tags=["plans"])


@router.get("", response=PlanList, operation_id="listPlans")
def list_plans(request: HttpRequest) -> PlanList:  # noqa: ARG001 - plans are for everybody to see
    """All plans."""
    return PlanList(items=[plan_out(plan) for plan in Plan.objects.all()], next=None)


@router.post("", response={201: PlanOut}, operation_id="createPlan")
def create_plan(request: HttpRequest, body: PlanIn) -> Status[PlanOut]:
    """Make a plan; for administrators."""
    return Status(201, plan_out(save_plan(person(request), Plan(), body.model_dump(exclude_none=True))))


@router.patch("/{name}", response=PlanOut, operation_id="changePlan")
def change_plan(request: HttpRequest, name: str, body: PlanPatch) -> PlanOut:
    """Change a plan; for administrators. Its sites follow by themselves, without an interruption."""
    return plan_out(save_plan(person(request), plan_named(name), body.model_dump(exclude_none=True)))
