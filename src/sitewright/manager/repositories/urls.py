"""Where web hooks arrive; the pages of connections are among those of sites."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.repositories.views import hook

urlpatterns = [path("hooks/<str:hook_id>", hook)]
