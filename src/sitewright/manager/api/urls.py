"""Where the API is."""

from __future__ import annotations

from django.urls import path, re_path

from sitewright.manager.api.problems import not_there
from sitewright.manager.api.wiring import build

urlpatterns = [
    path("v1/", build().urls),
    re_path(r"^.*$", not_there),
]
