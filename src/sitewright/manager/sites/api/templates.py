"""/templates: what a new site may begin from."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from sitewright.manager.sites.templates_offered import offered

router = Router(tags=["sites"])


class TemplateOut(Schema):
    """One template. ``picture`` is an SVG element, "" for none."""

    name: str
    title: str
    description: str
    language: str
    picture: str


class TemplateList(Schema):
    """The gallery."""

    items: list[TemplateOut]
    next: str | None = None


@router.get("", response=TemplateList, operation_id="listTemplates")
def list_templates(request: HttpRequest) -> TemplateList:  # noqa: ARG001 - templates are for everybody to see
    """All templates, those that need the least first."""
    return TemplateList(items=[TemplateOut.from_orm(offer) for offer in offered()])
