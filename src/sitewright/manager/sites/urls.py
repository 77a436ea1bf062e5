"""Pages about sites."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from sitewright.manager.sites.views import channels, code, create, files, listing, logs, overview, releases, running, settings

app_name = "sites"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="sites:list"), name="home"),
    path("sites/", listing.listing, name="list"),
    path("new/", create.create, name="create"),
    path("new/name/", create.check_name, name="check-name"),
    path("sites/<slug:name>/", overview.show, name="show"),
    path("sites/<slug:name>/head/<slug:tab>/", overview.head, name="head"),
    path("sites/<slug:name>/timeline/", overview.timeline, name="timeline"),
    path("sites/<slug:name>/deploy/", create.deploy, name="deploy"),
    path("sites/<slug:name>/logs/", logs.show, name="logs"),
    path("sites/<slug:name>/logs/stream/", logs.stream, name="logs-stream"),
    path("sites/<slug:name>/logs/download/", logs.download, name="logs-download"),
    path("sites/<slug:name>/files/", files.show, name="files"),
    path("sites/<slug:name>/files/save/", files.save, name="file-save"),
    path("sites/<slug:name>/files/delete/", files.delete, name="file-delete"),
    path("sites/<slug:name>/settings/", settings.show, name="settings"),
    path("sites/<slug:name>/settings/set/", settings.set_variable, name="set"),
    path("sites/<slug:name>/settings/unset/", settings.unset_variable, name="unset"),
    path("sites/<slug:name>/settings/rename/", settings.rename, name="rename"),
    path("sites/<slug:name>/settings/delete/", settings.delete, name="delete"),
    path("sites/<slug:name>/settings/sleep/", running.sleep, name="sleep"),
    path("sites/<slug:name>/settings/visitors/", running.settle, name="settle"),
    path("sites/<slug:name>/settings/limits/", running.limits, name="limits"),
    path("sites/<slug:name>/settings/plan/", running.plan, name="plan"),
    path("sites/<slug:name>/scale/", running.scale, name="scale"),
    path("sites/<slug:name>/releases/", releases.show, name="releases"),
    path("sites/<slug:name>/releases/<int:number>/", releases.one, name="release"),
    path("sites/<slug:name>/rollback/", releases.rollback, name="rollback"),
    path("sites/<slug:name>/promote/", releases.promote, name="promote"),
    path("sites/<slug:name>/freeze/", releases.freeze, name="freeze"),
    path("sites/<slug:name>/unfreeze/", releases.unfreeze, name="unfreeze"),
    path("sites/<slug:name>/protect/", releases.protect, name="protect"),
    path("sites/<slug:name>/channels/", channels.show, name="channels"),
    path("sites/<slug:name>/channels/new/", channels.create, name="channel-new"),
    path("sites/<slug:name>/channels/change/", channels.change, name="channel-change"),
    path("sites/<slug:name>/channels/remove/", channels.remove, name="channel-remove"),
    path("sites/<slug:name>/code/", code.show, name="code"),
    path("sites/<slug:name>/code/publish/", code.publish, name="publish"),
    path("sites/<slug:name>/code/check/", code.check_file, name="config-check"),
    path("sites/<slug:name>/code/stash/", code.stash, name="stash"),
    path("sites/<slug:name>/code/discard/", code.discard, name="discard"),
    path("sites/<slug:name>/trial/<slug:action>/", running.trial, name="trial"),
    path("sites/<slug:name>/wake/", running.wake, name="wake"),
    path("sites/<slug:name>/power/<slug:action>/", settings.power, name="power"),
]
