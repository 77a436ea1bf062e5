"""Pages about a person's own account."""

from __future__ import annotations

from django.urls import path

from sitewright.manager.accounts import views

app_name = "accounts"

urlpatterns = [
    path("", views.account, name="account"),
    path("link/<str:token>/", views.link, name="link"),
    path("tokens/", views.create_token, name="token-create"),
    path("tokens/<slug:prefix>/revoke/", views.revoke_token, name="token-revoke"),
    path("keys/", views.create_key, name="key-create"),
    path("keys/<int:key_id>/remove/", views.remove_key, name="key-remove"),
]
