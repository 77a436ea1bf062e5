"""Every operation of the API and every page, as owner, teammate, viewer, outsider and nobody. A route without a row fails the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from sitewright.domain.operation import OperationKind
from sitewright.manager.accounts.ssh_keys import add_key
from sitewright.manager.api.wiring import build
from sitewright.manager.keys import encrypt
from sitewright.manager.operations import claims
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.repositories.models import Connection, Delivery, PullRequest
from sitewright.manager.repositories.receiving import seal
from sitewright.manager.sites import services
from sitewright.manager.sites.models import Channel, EnvVar, Site
from sitewright.manager.teams.models import Team

PEOPLE = ("nobody", "charlie", "vera", "bob", "alice")
TEMPLATE = {"kind": "template", "name": "flask"}
SOMEBODYS_KEY, ALICES_KEY = (
    f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{body}"
    for body in ("KHEChAzSmCNuDrCOvMrTUi2RfDGpNNRTZ2JsFnJRgmS charlie@home", "AeKVDMSPJDYPPO6x4X1LxHhiC8cGZBmnpGbRV5cdMpc alice@laptop")
)
FILE = "/sites/guestbook/files/content?path=a.txt"


@dataclass(frozen=True)
class Row:
    """How to call an operation, and the status for each of PEOPLE, weakest first."""

    method: str
    path: str
    expected: tuple[int, int, int, int, int]
    body: Any = None


LOOK = (401, 404, 200, 200, 200)
WORK = (401, 404, 403, 202, 202)
OWN = (401, 404, 403, 403, 202)
ANYBODY = (401, 200, 200, 200, 200)

ROWS = {
    "signIn": Row("POST", "/auth/tokens", (401,) * 5, {"email": "alice@example.org", "password": "wrong"}),
    "getMe": Row("GET", "/me", ANYBODY),
    "listTokens": Row("GET", "/me/tokens", ANYBODY),
    "createToken": Row("POST", "/me/tokens", (401, 201, 201, 201, 201), {"label": "mine"}),
    "deleteToken": Row("DELETE", "/me/tokens/{alices_token}", (401, 404, 404, 404, 204)),
    "listKeys": Row("GET", "/keys", ANYBODY),
    # A key belongs to one person: whoever comes second is told so.
    "addKey": Row("POST", "/keys", (401, 201, 409, 409, 409), {"public_key": SOMEBODYS_KEY}),
    "deleteKey": Row("DELETE", "/keys/{alices_key}", (401, 404, 404, 404, 204)),
    "getStatus": Row("GET", "/status", ANYBODY),
    "upload": Row("POST", "/uploads?filename=a.zip", (401, 201, 201, 201, 201), b"PK"),
    "getBuildLog": Row("GET", "/builds/{build}/logs", LOOK),
    "streamBuildLog": Row("GET", "/builds/{build}/logs/stream", LOOK),
    "getQueue": Row("GET", "/queue", ANYBODY),
    "getBuild": Row("GET", "/builds/{build}", LOOK),
    "cancelBuild": Row("POST", "/builds/{build}/cancel", (401, 404, 403, 409, 409)),
    "listArtefacts": Row("GET", "/builds/{build}/artefacts", LOOK),
    "searchBuildLog": Row("GET", "/builds/{build}/search?text=hello", LOOK),
    "listTemplates": Row("GET", "/templates", ANYBODY),
    "checkConfig": Row("POST", "/config/check", ANYBODY, {"text": ""}),
    "getConfigSchema": Row("GET", "/config/schema", ANYBODY),
    "getConfig": Row("GET", "/sites/guestbook/config", LOOK),
    "listChannels": Row("GET", "/sites/guestbook/channels", LOOK),
    "createChannel": Row("POST", "/sites/guestbook/channels", (401, 404, 403, 202, 409), {"name": "staging"}),
    "getChannel": Row("GET", "/sites/guestbook/channels/production", LOOK),
    "changeChannel": Row("PATCH", "/sites/guestbook/channels/production", WORK, {"branch": "stable"}),
    "removeChannel": Row("DELETE", "/sites/returning/channels/staging?confirm=staging", WORK),
    "adoptRelease": Row("POST", "/sites/returning/channels/production/adopt", WORK, {"from": "staging"}),
    "freezeChannel": Row(
        "POST", "/sites/guestbook/channels/production/freeze", (401, 404, 403, 200, 200), {"until": "{tomorrow}", "reason": "Exams"}
    ),
    "unfreezeChannel": Row("DELETE", "/sites/returning/channels/staging/freeze", (401, 404, 403, 200, 409)),
    "listBranches": Row("GET", "/sites/guestbook/branches", LOOK),
    "listCommits": Row("GET", "/sites/guestbook/commits", LOOK),
    "listEdits": Row("GET", "/sites/guestbook/edits", LOOK),
    "publishEdits": Row("POST", "/sites/guestbook/publish", WORK, {"message": "Mine"}),
    "discardEdits": Row("POST", "/sites/published/edits/discard", WORK),
    "stashEdits": Row("POST", "/sites/published/edits/stash", WORK, {"branch": "later"}),
    "listBuilds": Row("GET", "/sites/guestbook/builds", LOOK),
    "getCaches": Row("GET", "/sites/guestbook/caches", LOOK),
    "clearCaches": Row("POST", "/sites/guestbook/caches/clear", (401, 404, 403, 200, 200)),
    "keepReleases": Row("PATCH", "/sites/guestbook/releases", (401, 404, 403, 200, 200), {"keep": 3}),
    "getRelease": Row("GET", "/sites/guestbook/releases/1", LOOK),
    "getReleaseChanges": Row("GET", "/sites/guestbook/releases/1/changes", LOOK),
    "getEnvDiff": Row("GET", "/sites/returning/releases/1/env-diff?to=2", LOOK),
    "listTeams": Row("GET", "/teams", ANYBODY),
    "listOperations": Row("GET", "/operations", ANYBODY),
    "getOperation": Row("GET", "/operations/{operation}", LOOK),
    "streamOperation": Row("GET", "/operations/{operation}/stream", LOOK),
    "cancelOperation": Row("POST", "/operations/{queued}/cancel", (401, 404, 403, 202, 409)),
    "retryOperation": Row("POST", "/operations/{cancelled}/retry", (401, 404, 403, 202, 409)),
    "listSites": Row("GET", "/sites", ANYBODY),
    "createSite": Row("POST", "/sites", (401, 404, 403, 202, 409), {"name": "second", "team": "choir", "source": TEMPLATE}),
    "getSite": Row("GET", "/sites/guestbook", LOOK),
    "renameSite": Row("PATCH", "/sites/guestbook", OWN, {"name": "visitors"}),
    "deleteSite": Row("DELETE", "/sites/guestbook?confirm=guestbook", OWN),
    "deploySite": Row("POST", "/sites/guestbook/deploys", WORK, {"source": TEMPLATE}),
    "startSite": Row("POST", "/sites/guestbook/start", WORK),
    "stopSite": Row("POST", "/sites/guestbook/stop", WORK),
    "restartSite": Row("POST", "/sites/guestbook/restart", WORK),
    "getScale": Row("GET", "/sites/guestbook/scale", LOOK),
    "scaleSite": Row("PATCH", "/sites/guestbook/scale", WORK, {"processes": {"web": {"count": 2}}}),
    "getSettings": Row("GET", "/sites/guestbook/settings", LOOK),
    "changeSettings": Row("PATCH", "/sites/guestbook/settings", WORK, {"affinity": "cookie"}),
    "rollBackSite": Row("POST", "/sites/returning/rollback", WORK, {}),
    "getCanary": Row("GET", "/sites/guestbook/canary", LOOK),
    "promoteCanary": Row("POST", "/sites/returning-too/canary/promote", WORK),
    "abortCanary": Row("POST", "/sites/returning-too/canary/abort", WORK),
    "listCrons": Row("GET", "/sites/guestbook/crons", LOOK),
    "wakeSite": Row("POST", "/sites/guestbook/wake", (401, 404, 403, 200, 200)),
    "listPlans": Row("GET", "/plans", ANYBODY),
    "createPlan": Row("POST", "/plans", (401, 403, 403, 403, 403), {"name": "large"}),
    "changePlan": Row("PATCH", "/plans/small", (401, 403, 403, 403, 403), {"memory_mb": 64}),
    "changeTeam": Row("PATCH", "/teams/choir", (401, 404, 403, 403, 200), {"plan": "small"}),
    "listEnv": Row("GET", "/sites/guestbook/env", LOOK),
    "changeEnv": Row("PATCH", "/sites/guestbook/env", WORK, {"set": {"A": {"value": "1"}}}),
    "listEvents": Row("GET", "/sites/guestbook/events", LOOK),
    "listReleases": Row("GET", "/sites/guestbook/releases", LOOK),
    "listInstances": Row("GET", "/sites/guestbook/instances", LOOK),
    "listSiteOperations": Row("GET", "/sites/guestbook/operations", LOOK),
    "getLogs": Row("GET", "/sites/guestbook/logs", LOOK),
    "streamLogs": Row("GET", "/sites/guestbook/logs/stream", LOOK),
    "listFiles": Row("GET", "/sites/guestbook/files", LOOK),
    "readFile": Row("GET", FILE, (401, 404, 403, 200, 200)),
    "writeFile": Row("PUT", "/sites/guestbook/files/content?path=b.txt", (401, 404, 403, 200, 409), {"data": "YQ==", "version": ""}),
    "getConnection": Row("GET", "/sites/guestbook/connection", LOOK),
    "connectSite": Row("PUT", "/sites/guestbook/connection", (401, 404, 403, 200, 200), {"url": "https://git.example.org/bob/notes.git"}),
    "disconnectSite": Row("DELETE", "/sites/guestbook/connection", (401, 404, 403, 204, 404)),
    "fetchConnection": Row("POST", "/sites/guestbook/connection/fetch", WORK),
    "listDeliveries": Row("GET", "/sites/guestbook/deliveries", (401, 404, 403, 200, 200)),
    "redeliver": Row("POST", "/sites/guestbook/deliveries/{delivery}/redeliver", WORK),
    "listPreviews": Row("GET", "/sites/guestbook/previews", LOOK),
    "setPreviews": Row("PATCH", "/sites/guestbook/previews", (401, 404, 403, 200, 200), {"makes": "branches", "days": 7}),
    "allowPreview": Row("POST", "/sites/guestbook/previews/{preview}/allow", WORK),
    "closePreview": Row("POST", "/sites/guestbook/previews/{preview}/close", WORK),
    "deleteFile": Row("DELETE", FILE, (401, 404, 403, 204, 204)),
}


def operation_ids():
    schema = build().get_openapi_schema(path_prefix="/api/v1/")
    return {one["operationId"] for path in schema["paths"].values() for one in path.values()}


def test_every_operation_of_the_api_has_a_row():
    assert operation_ids() == set(ROWS)


def _second_releases(cast):
    """Two more sites: one that can return to a release, one with a release on trial."""
    first = Channel.objects.get(site__name="guestbook").release
    for number, name in enumerate(("returning", "returning-too"), 50):
        site = Site.objects.create(number=number, name=name, team=cast.choir)
        channel = Channel.objects.create(site=site, node="node1", generation=1)
        old, new = (
            Release.objects.create(channel=channel, number=one, droplet="d" * 64, blueprint=first.blueprint, live_at=timezone.now())
            for one in (1, 2)
        )
        trial = {"release": old, "canary_release": new, "canary_slots": 2} if name == "returning-too" else {"release": new}
        Channel.objects.filter(id=channel.id).update(**trial)


def _more_channels(cast, stage):
    """A frozen channel whose release can be taken, and a live site of which it is known what was published."""
    site = Site.objects.get(name="returning")
    tomorrow = claims.moment(stage.clock.now() + 86400)
    staging = Channel.objects.create(site=site, name="staging", kind="named", node="node1", generation=1, frozen_until=tomorrow)
    blueprint = Channel.objects.get(site__name="guestbook").release.blueprint
    staging.release = Release.objects.create(channel=staging, number=1, droplet="e" * 64, blueprint=blueprint, live_at=timezone.now())
    staging.save()
    live = Site.objects.create(number=60, name="published", team=cast.choir)
    Channel.objects.create(site=live, node="node1", mode="live", commit="a" * 40, branch="main")


def _connected(site):
    """A connection with one delivery, and a fork's pull request with a preview."""
    secrets = {name: encrypt(settings.ENCRYPTION_KEYS, "secret") for name in ("sealed_hook_secret", "sealed_token")}
    connection = Connection.objects.create(site=site, url="https://git.example.org/alice/notes.git", hook_id="h" * 32, **secrets)
    delivery = Delivery.objects.create(connection=connection, delivery="d", event="push", sealed_body=seal(b"{}"), outcome="acted")
    channel = Channel.objects.create(site=site, name="preview-7", kind="preview", node="node1")
    pull = PullRequest.objects.create(site=site, number=7, branch="menu", head="1a" * 20, fork=True, channel=channel)
    return {"delivery": delivery.id, "preview": pull.id}


@pytest.fixture
def ids(cast, stage, guestbook):
    """What stands in braces in a path."""
    Channel.objects.update(mode="live")
    stage.node.files["a.txt"] = b"a"
    finished = Operation.objects.get()
    _second_releases(cast)
    _more_channels(cast, stage)
    cancelled = services.act(cast.alice, guestbook, OperationKind.RESTART)
    from sitewright.manager.operations.services import cancel

    cancel(cancelled)
    return {
        "build": Build.objects.get().id,
        "operation": finished.id,
        "queued": services.act(cast.alice, guestbook, OperationKind.RESTART).id,
        "cancelled": cancelled.id,
        "alices_key": add_key(cast.alice, ALICES_KEY).id,
        "alices_token": cast.token(cast.alice).split("_")[1],
        "tomorrow": claims.moment(stage.clock.now() + 86400).isoformat(),
        **_connected(guestbook),
    }


def _filled(body, ids):
    """The body, with what stands in braces in its texts."""
    if not isinstance(body, dict):
        return body
    return {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}


@pytest.mark.parametrize("operation_id", sorted(ROWS))
def test_each_person_may_do_what_their_role_allows(cast, api, ids, operation_id):
    row = ROWS[operation_id]
    path = row.path.format(**ids)
    got = []
    for name in PEOPLE:
        response = api(getattr(cast, name, None))(row.method, path, _filled(row.body, ids))
        got.append(response.status_code)
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"
    assert dict(zip(PEOPLE, got, strict=True)) == dict(zip(PEOPLE, row.expected, strict=True))


@pytest.mark.parametrize("kind", [OperationKind.DELETE, OperationKind.RENAME])
def test_what_an_owner_has_called_off_no_developer_sets_going_again(cast, api, ids, kind):
    operation = Operation.objects.get(id=ids["cancelled"])
    Operation.objects.filter(id=operation.id).update(kind=kind.value)
    for asked in ("retry", "cancel"):
        assert api(cast.bob)("POST", f"/operations/{operation.id}/{asked}").status_code == 403
        assert visit(cast.bob).post(f"/operations/{operation.id}/{asked}/").status_code in {403, 404}
    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert api(cast.alice)("POST", f"/operations/{operation.id}/retry").status_code == 202


@pytest.mark.parametrize("path", ["/sites", "/operations", "/teams"])
def test_an_outsider_finds_nothing_in_lists(cast, api, ids, path):
    text = api(cast.charlie)("GET", path).content.decode()
    assert "guestbook" not in text
    assert "choir" not in text


def test_an_administrator_sees_every_team(cast, api, ids):
    assert api(cast.ada)("GET", "/sites/guestbook").status_code == 200


def test_an_outsider_cannot_tell_a_foreign_site_from_none(cast, api, ids):
    foreign, none = (api(cast.charlie)("GET", f"/sites/{name}").json() for name in ("guestbook", "nowhere"))
    assert {**foreign, "title": ""} == {**none, "title": ""}


# --- pages ---

PUBLIC = ("health/", "metrics", "static/", "accounts/", "api/", "hooks/")
KWARGS = {
    "name": "guestbook",
    "operation_id": "{operation}",
    "action": "stop",
    "prefix": "{alices_token}",
    "token": "nonsense",
    "plan": "nonsense",
    "tab": "settings",
    "mark": "nonsense",
    "number": "1",
    "build_id": "{build}",
    "delivery_id": "{delivery}",
    "preview_id": "{preview}",
}


def pages():
    """Every page's path with example arguments; a new kind of argument needs a row in KWARGS."""

    def walk(patterns, prefix=""):
        for one in patterns:
            if (prefix + str(one.pattern)).lstrip("^").startswith(PUBLIC):
                continue
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns, prefix + str(one.pattern))
            elif isinstance(one, URLPattern):
                path = prefix + str(one.pattern)
                for name, converter in one.pattern.converters.items():
                    kind = type(converter).__name__.removesuffix("Converter").lower()
                    path = path.replace(f"<{kind}:{name}>", KWARGS[name])
                yield path

    return sorted(walk(get_resolver().url_patterns))


def visit(user):
    client = Client(headers={"Host": "sitewright.localhost"})
    if user is not None:
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def everything():
    return (
        Operation.objects.count(),
        list(Site.objects.values_list("name", flat=True)),
        list(EnvVar.objects.values_list("name", flat=True)),
        list(Operation.objects.values_list("state", "cancel_asked")),
        list(Channel.objects.order_by("id").values()),
        list(Team.objects.order_by("id").values()),
        list(Site.objects.order_by("id").values()),
        list(Connection.objects.values()),
        Delivery.objects.count(),
        list(PullRequest.objects.values()),
    )


FORM = {
    "confirm": "guestbook",
    "name": "taken",
    "variable": "A",
    "value": "1",
    "path": "a.txt",
    "content": "x",
    "source": "template",
    "process": "web",
    "count": "3",
    "memory_mb": "64",
    "sleep": "default",
    "affinity": "cookie",
    "max_surge": "2",
    "plan": "small",
    "who": "owner",
    "until": "2999-01-01T00:00",
    "channel": "staging",
    "branch": "other",
    "url": "https://git.example.org/bob/notes.git",
    "makes": "branches",
    "days": "7",
}


@pytest.mark.parametrize("path", pages())
def test_nobody_sees_a_page_without_signing_in(cast, ids, path):
    for method in ("GET", "POST"):
        response = visit(None).generic(method, "/" + path.format(**ids))
        assert response.status_code in {301, 302, 401, 403, 404, 405}, (method, path)
        if response.status_code == 302 and path:
            assert "/accounts/login/" in response["Location"]


@pytest.mark.parametrize("path", [path for path in pages() if "guestbook" in path or "{operation}" in path])
def test_an_outsider_finds_no_page_of_a_foreign_site(cast, ids, path):
    before = everything()
    for method in ("get", "post"):
        response = getattr(visit(cast.charlie), method)("/" + path.format(**ids), FORM if method == "post" else None)
        assert response.status_code in {404, 405}, (method, path)
    assert everything() == before


@pytest.mark.parametrize("path", [path for path in pages() if "guestbook" in path or "{operation}" in path])
def test_a_viewer_changes_nothing(cast, ids, stage, path):
    before, files = everything(), dict(stage.node.files)
    visit(cast.vera).post("/" + path.format(**ids), FORM)
    assert everything() == before
    assert stage.node.files == files
