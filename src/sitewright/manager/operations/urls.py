"""Pages about operations, and the platform's state."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.operations import logs, views

app_name = "operations"

urlpatterns = [
    path("platform/", views.status, name="status"),
    path("operations/<slug:operation_id>/", views.show, name="show"),
    path("operations/<slug:operation_id>/log/stream/", logs.stream, name="log-stream"),
    path("operations/<slug:operation_id>/log/download/", logs.download, name="log-download"),
    path("operations/<slug:operation_id>/cancel/", views.cancel, name="cancel"),
    path("operations/<slug:operation_id>/retry/", views.retry, name="retry"),
]
