"""The form of the API: problems, lists, uploads, variables, files, streams, health, metrics, headers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from sitewright.domain.limits import MAX_SOURCE_BYTES
from sitewright.manager.operations.access import for_user as operations_for
from sitewright.manager.releases import uploads
from sitewright.manager.releases.models import Upload
from sitewright.manager.sites.models import Channel, Node, Site

TEMPLATE = {"kind": "template", "name": "flask"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "not_found"),
        ("GET", "/sites/nothing", None, 404, "not_found"),
        ("DELETE", "/me", None, 405, "method_not_allowed"),
        ("POST", "/sites", b"{not json", 400, "bad_request"),
        ("POST", "/sites", {}, 422, "invalid"),
        ("POST", "/sites", {"name": "x" * 300, "source": TEMPLATE}, 422, "invalid"),
        ("POST", "/sites", {"name": "admin", "source": TEMPLATE}, 422, "invalid"),
        ("POST", "/sites", {"name": "ok", "source": {"kind": "magic"}}, 422, "invalid"),
        ("POST", "/sites", {"name": "ok", "source": {"kind": "upload", "digest": "../../etc/passwd"}}, 404, "not_found"),
        ("GET", "/sites?cursor=nonsense", None, 422, "invalid"),
        ("GET", "/sites?limit=many", None, 422, "invalid"),
    ],
)
def test_every_error_is_a_problem_that_says_what_to_do(cast, api, stage, method, path, body, status, code):
    answer = api(cast.alice)(method, path, body)
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"]
    assert problem["resolution"]


def test_an_error_nobody_foresaw_keeps_its_traceback_to_itself(cast, api, monkeypatch):
    def broken(*_args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("sitewright.manager.teams.api.for_user", broken)
    answer = api(cast.alice)("GET", "/teams")
    assert answer.status_code == 500
    assert "secret detail" not in answer.content.decode()
    assert answer.json()["request_id"]


def test_lists_come_a_page_at_a_time_and_lose_nothing_when_rows_go(cast, api, stage):
    for number, name in enumerate(["ants", "bees", "cats", "dogs", "eels"], 1):
        site = Site.objects.create(number=number, name=name, team=cast.choir)
        Channel.objects.create(site=site, node="node1")
    ask = api(cast.alice)
    first = ask("GET", "/sites?limit=2").json()
    assert [one["name"] for one in first["items"]] == ["ants", "bees"]
    Site.objects.filter(name="ants").delete()
    second = ask("GET", f"/sites?limit=2&cursor={first['next']}").json()
    assert [one["name"] for one in second["items"]] == ["cats", "dogs"]
    third = ask("GET", f"/sites?limit=2&cursor={second['next']}").json()
    assert ([one["name"] for one in third["items"]], third["next"]) == (["eels"], None)
    assert [one["name"] for one in ask("GET", "/sites?search=EE").json()["items"]] == ["bees", "eels"]


def test_times_survive_a_cursor(cast, api, guestbook):
    ask = api(cast.alice)
    for _ in range(4):
        ask("POST", "/sites/guestbook/restart")
    seen, cursor = [], ""
    while cursor is not None:
        answer = ask("GET", f"/sites/guestbook/operations?limit=2&cursor={cursor}").json()
        seen += [one["id"] for one in answer["items"]]
        cursor = answer["next"]
    assert len(seen) == len(set(seen)) == 5


def test_a_list_of_sites_needs_the_same_queries_however_long_it_is(cast, api, stage, django_assert_max_num_queries):
    for number in range(1, 21):
        site = Site.objects.create(number=number, name=f"site-{number}", team=cast.choir)
        Channel.objects.create(site=site, node="node1")
    ask = api(cast.alice)
    with django_assert_max_num_queries(10):
        assert len(ask("GET", "/sites").json()["items"]) == 20


def test_asking_twice_with_one_key_makes_one_site(cast, api, stage):
    body = {"name": "guestbook", "team": "choir", "source": TEMPLATE}
    answers = [api(cast.alice)("POST", "/sites", body, Idempotency_Key="k1").json() for _ in range(2)]
    assert answers[0]["operation"]["id"] == answers[1]["operation"]["id"]
    again = api(cast.alice)("POST", "/sites", body, Idempotency_Key="k2")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_key_for_something_else_is_a_conflict(cast, api, guestbook):
    api(cast.alice)("POST", "/sites/guestbook/stop", Idempotency_Key="k")
    assert api(cast.alice)("POST", "/sites/guestbook/start", Idempotency_Key="k").status_code == 409


def test_an_upload_is_kept_by_its_digest(cast, api, settings):
    data = b"PK\x03\x04 an archive"
    answer = api(cast.alice)("POST", "/uploads?filename=../../site.zip", data)
    digest = hashlib.sha256(data).hexdigest()
    assert (answer.status_code, answer.json()) == (201, {"digest": digest, "size": len(data)})
    kept = settings.PLATFORM.paths.uploads / digest
    assert kept.read_bytes() == data
    assert kept.stat().st_mode & 0o007 == 0
    assert Upload.objects.get().name == "site.zip"


def test_nothing_stays_of_an_upload_that_is_too_large_or_empty(cast, api, settings, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_SOURCE_BYTES", 1000)
    assert api(cast.alice)("POST", "/uploads", b"x" * 1001).status_code == 422
    assert api(cast.alice)("POST", "/uploads", b"").status_code == 422
    assert list(settings.PLATFORM.paths.uploads.iterdir()) == []


def test_one_person_cannot_fill_the_disk_with_uploads(cast, api):
    Upload.objects.create(user=cast.alice, digest="0" * 64, size_bytes=4 * MAX_SOURCE_BYTES)
    answer = api(cast.alice)("POST", "/uploads", b"more")
    assert (answer.status_code, answer.json()["code"]) == (403, "quota")


def test_old_uploads_are_cleared_away(cast, api, settings, stage):
    from datetime import timedelta

    from django.utils import timezone

    digest = api(cast.alice)("POST", "/uploads", b"old").json()["digest"]
    assert uploads.forget_old() == 0
    Upload.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert uploads.forget_old() == 1
    assert not (settings.PLATFORM.paths.uploads / digest).exists()


def test_secret_values_go_in_and_never_come_out(cast, api, stage, guestbook):
    body = {"set": {"KEY": {"value": "hush", "secret": True}, "COLOUR": {"value": "blue"}}}
    answer = api(cast.bob)("PATCH", "/sites/guestbook/env", body)
    assert answer.status_code == 202
    stage.play()
    assert api(cast.alice)("GET", "/sites/guestbook/env").json()["items"] == [
        {"name": "COLOUR", "value": "blue", "secret": False},
        {"name": "KEY", "value": None, "secret": True},
    ]
    assert {one["value"] for one in api(cast.vera)("GET", "/sites/guestbook/env").json()["items"]} == {None}
    everything = "".join(
        api(cast.alice)("GET", path).content.decode()
        for path in ("/sites/guestbook", "/sites/guestbook/events", "/sites/guestbook/operations", "/operations")
    )
    assert "hush" not in everything


@pytest.mark.parametrize("name", ["PORT", "1A", "A B", "SITEWRIGHT_HOME", "LD_PRELOAD", ""])
def test_names_that_cannot_be_variables_are_refused(cast, api, guestbook, name):
    assert api(cast.alice)("PATCH", "/sites/guestbook/env", {"set": {name: {"value": "x"}}}).status_code == 422


def test_files_of_a_live_site_are_edited_with_a_version(cast, api, stage, guestbook):
    Channel.objects.update(mode="live")
    ask = api(cast.alice)
    data = base64.b64encode(b"<h1>Hello</h1>").decode()
    made = ask("PUT", "/sites/guestbook/files/content?path=index.html", {"data": data, "version": ""})
    assert made.status_code == 200
    read = ask("GET", "/sites/guestbook/files/content?path=index.html").json()
    assert read == {"data": data, "version": made.json()["version"]}
    stale = ask("PUT", "/sites/guestbook/files/content?path=index.html", {"data": data, "version": "old"})
    assert stale.status_code == 409
    assert [one["name"] for one in ask("GET", "/sites/guestbook/files").json()["items"]] == ["index.html"]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "a%00b"])
def test_paths_that_lead_out_are_refused(cast, api, guestbook, path):
    Channel.objects.update(mode="live")
    assert api(cast.alice)("GET", f"/sites/guestbook/files/content?path={path}").status_code == 422


def test_the_files_of_a_release_are_not_edited(cast, api, guestbook):
    assert api(cast.alice)("GET", "/sites/guestbook/files").status_code == 409


def test_logs_are_read(cast, api, guestbook):
    page = api(cast.alice)("GET", "/sites/guestbook/logs?tail=5").json()
    assert [line["text"] for line in page["lines"]] == ["Hello from the log"]
    assert page["cursor"] == "1"


def test_a_node_that_is_away_is_said_to_be(cast, api, stage, guestbook):
    stage.node.behaviour.away = True
    answer = api(cast.alice)("GET", "/sites/guestbook/logs")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def streamed(client, path, token):
    response = await client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    async with asyncio.timeout(10):
        return b"".join([chunk async for chunk in response.streaming_content]).decode()


def test_a_log_stream_sends_lines_and_ends_when_nothing_follows(cast, guestbook):
    build = operations_for(cast.alice).get().params["found"]["build"]["build"]
    text = async_to_sync(streamed)(AsyncClient(), f"/builds/{build}/logs/stream", cast.token(cast.alice))
    events = [part.split("\n") for part in text.strip().split("\n\n") if not part.startswith(":")]
    assert events[0][0] == "id: 1"
    assert json.loads(events[0][2].removeprefix("data: "))["text"] == "Hello from the log"
    assert events[-1][0] == "event: end"


def test_an_operation_stream_ends_with_the_final_state(cast, guestbook):
    operation = operations_for(cast.alice).get()
    text = async_to_sync(streamed)(AsyncClient(), f"/operations/{operation.id}/stream", cast.token(cast.alice))
    name, data = text.strip().split("\n")
    assert name == "event: operation"
    assert json.loads(data.removeprefix("data: "))["state"] == "succeeded"


def test_health_says_what_is_wrong(cast, stage):
    assert Client().get("/health/live").status_code == 200
    sick = Client().get("/health/ready")
    assert (sick.status_code, sick.json()["checks"]) == (503, {"database": True, "bus": True, "node": False})
    from django.utils import timezone

    Node.objects.create(name="node1", seen_at=timezone.datetime.fromtimestamp(stage.clock.now(), tz=timezone.get_default_timezone()))
    assert Client().get("/health/ready").status_code == 200
    stage.clock.advance(60)
    assert Client().get("/health/ready").status_code == 503


def test_metrics_are_for_administrators(cast, api, guestbook):
    assert Client().get("/metrics").status_code == 401
    assert Client().get("/metrics", headers={"Authorization": f"Bearer {cast.token(cast.alice)}"}).status_code == 401
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {cast.token(cast.ada)}"}).content.decode()
    assert "sitewright_sites 1.0" in text
    assert 'sitewright_operations{kind="create",state="succeeded"} 1.0' in text


def test_status_counts_only_ones_own_sites(cast, api, guestbook):
    assert api(cast.alice)("GET", "/status").json()["sites"] == {"running": 1}
    assert api(cast.charlie)("GET", "/status").json()["sites"] == {}


def test_answers_carry_what_keeps_a_browser_safe(cast, api):
    answer = api(cast.alice)("GET", "/me")
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Request-ID"]


def test_a_foreign_host_name_is_refused(cast):
    assert Client(headers={"Host": "evil.example.org"}).get("/health/live").status_code == 400


def test_the_description_of_the_api_is_complete(cast):
    schema = Client().get("/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["operationId"]
            assert operation["description"]
