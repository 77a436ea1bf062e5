"""Where everything is. Pages come from the apps' own urls.py."""

from __future__ import annotations

from django.urls import include, path

from sitewright.manager.health import live, ready
from sitewright.manager.metrics import metrics
from sitewright.manager.pages.assets import send

urlpatterns = [
    path("health/live", live),
    path("health/ready", ready),
    path("metrics", metrics),
    path("api/", include("sitewright.manager.api.urls")),
    path("accounts/", include("sitewright.manager.accounts.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("static/sitewright/<str:name>", send),
    path("", include("sitewright.manager.repositories.urls")),
    path("", include("sitewright.manager.teams.urls")),
    path("", include("sitewright.manager.operations.urls")),
    path("", include("sitewright.manager.audit.urls")),
    path("", include("sitewright.manager.releases.urls")),
    path("", include("sitewright.manager.domains.urls")),
    path("", include("sitewright.manager.sites.urls")),
]
