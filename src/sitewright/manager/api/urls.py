"""Where the API is."""

from __future__ import annotations

from django.urls import path, re_path

from sitewright.manager.api.problems import not_there
from sitewright.manager.api.views import described
from sitewright.manager.api.wiring import api

urlpatterns = [
    path("", described, name="api-described"),
    path("v1/", api().urls),
    re_path(r"^.*$", not_there),
]
