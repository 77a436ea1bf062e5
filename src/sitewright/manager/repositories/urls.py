"""Where web hooks arrive, and the pages about connected repositories and previews."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.repositories import pages, previews_pages
from sitewright.manager.repositories.views import hook

app_name = "repositories"

urlpatterns = [
    path("hooks/<str:hook_id>", hook),
    path("sites/<slug:name>/connection/", pages.show, name="connection"),
    path("sites/<slug:name>/connection/set/", pages.connect, name="connect"),
    path("sites/<slug:name>/connection/fetch/", pages.fetch, name="fetch"),
    path("sites/<slug:name>/connection/disconnect/", pages.disconnect, name="disconnect"),
    path("sites/<slug:name>/connection/deliveries/<slug:delivery_id>/again/", pages.redeliver, name="redeliver"),
    path("sites/<slug:name>/previews/", previews_pages.show, name="previews"),
    path("sites/<slug:name>/previews/set/", previews_pages.settle, name="previews-set"),
    path("sites/<slug:name>/previews/<slug:preview_id>/allow/", previews_pages.allow, name="preview-allow"),
    path("sites/<slug:name>/previews/<slug:preview_id>/close/", previews_pages.close, name="preview-close"),
]
