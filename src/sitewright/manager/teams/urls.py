"""Pages about plans."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.teams import views

app_name = "teams"

urlpatterns = [
    path("platform/plans/", views.plans, name="plans"),
    path("platform/plans/new/", views.make, name="plan-new"),
    path("platform/plans/<slug:plan>/", views.change, name="plan"),
]
