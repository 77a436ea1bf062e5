"""Where everything is. Pages come from the apps' own urls.py."""

from __future__ import annotations

from django.conf import settings
from django.urls import include, path, re_path
from django.views.static import serve

urlpatterns = [
    path("accounts/", include("sitewright.manager.accounts.urls")),
    path("accounts/", include("allauth.account.urls")),
    re_path(r"^static/(?P<path>.*)$", serve, {"document_root": settings.STATIC_ROOT}),
    path("", include("sitewright.manager.teams.urls")),
    path("", include("sitewright.manager.operations.urls")),
    path("", include("sitewright.manager.audit.urls")),
    path("", include("sitewright.manager.releases.urls")),
    path("", include("sitewright.manager.domains.urls")),
    path("", include("sitewright.manager.sites.urls")),
]
