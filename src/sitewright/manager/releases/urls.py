"""Pages about builds."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.releases import views

app_name = "releases"

urlpatterns = [
    path("sites/<slug:name>/builds/", views.listing, name="builds"),
    path("sites/<slug:name>/builds/caches/clear/", views.clear_caches, name="caches-clear"),
    path("sites/<slug:name>/builds/<slug:build_id>/", views.show, name="build"),
    path("sites/<slug:name>/builds/<slug:build_id>/cancel/", views.cancel, name="build-cancel"),
    path("sites/<slug:name>/builds/<slug:build_id>/parts/", views.parts, name="build-parts"),
    path("sites/<slug:name>/builds/<slug:build_id>/log/stream/", views.stream, name="build-stream"),
    path("sites/<slug:name>/builds/<slug:build_id>/log/download/", views.download, name="build-download"),
]
