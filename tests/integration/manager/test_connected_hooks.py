"""POST /hooks/{id}: who gets in, what is kept, what is done about it, and that each delivery acts once."""

from __future__ import annotations

import json
import time

import pytest
from django.conf import settings as django
from django.test import Client

from sitewright.manager.keys import decrypt
from sitewright.manager.operations.claims import moment
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import deliveries
from sitewright.manager.repositories.models import Connection, Delivery, Outcome
from sitewright.manager.repositories.receiving import LARGEST_BODY, MOST_A_MINUTE, UNSIGNED
from sitewright.testing.forge import Forge

HOST = "sitewright.localhost"
PROJECT = "alice/notes"
FIRST, SECOND, THIRD = "1a" * 20, "2b" * 20, "3c" * 20


class Hooked:
    """A connection, its secret, and a client that posts to it."""

    def __init__(self, connection: Connection, secret: str, forge: Forge) -> None:
        self.connection, self.secret, self.forge = connection, secret, forge
        self.client = Client(headers={"Host": HOST}, enforce_csrf_checks=True, raise_request_exception=False)

    def post(self, body: bytes, headers: dict[str, str], hook_id: str = ""):
        kind = headers.get("Content-Type", "application/json")
        return self.client.generic("POST", f"/hooks/{hook_id or self.connection.hook_id}", body, content_type=kind, headers=headers)

    def push(self, new: str = SECOND, old: str = FIRST, ref: str = "refs/heads/main"):
        sent = self.forge.pushed(PROJECT, self.secret, ref, old, new)
        return sent, self.post(sent.body, sent.headers)


@pytest.fixture
def hooked(cast, api, stage, guestbook, tmp_path):
    answer = api(cast.alice)("PUT", "/sites/guestbook/connection", {"url": f"https://git.example.org/{PROJECT}.git", "vendor": "gitea"})
    assert answer.status_code == 200, answer.content
    stage.node.repository.remote["refs/heads/main"] = FIRST
    stage.play()
    with Forge(tmp_path / "forge") as forge:
        yield Hooked(Connection.objects.get(), answer.json()["hook"]["secret"], forge)


def syncs():
    return Operation.objects.filter(kind="sync")


def test_a_delivery_is_kept_sealed_and_answered_before_anything_is_done(hooked):
    before = syncs().count()
    sent, answer = hooked.push()
    assert answer.status_code == 202
    row = Delivery.objects.get()
    assert answer.json() == {"delivery": row.id, "known": False}
    assert row.outcome == Outcome.RECEIVED
    assert sent.body.decode() not in row.sealed_body
    assert "x-gitea-signature" not in row.headers
    assert "x-gitea-event" in row.headers
    assert syncs().count() == before


def test_what_was_received_is_fetched_and_told(hooked, stage, cast, api):
    hooked.push()
    assert deliveries.act_due() == 1
    row = Delivery.objects.get()
    assert (row.outcome, row.summary) == (Outcome.ACTED, "alice pushed 2b2b2b2b2b, main")
    assert row.operation is not None
    assert row.operation.kind == "sync"
    texts = [one["text"] for one in api(cast.vera)("GET", "/sites/guestbook/events").json()["items"]]
    assert "From gitea: alice pushed 2b2b2b2b2b, main." in texts


def test_the_same_delivery_acts_once_whatever_was_changed_about_it(hooked):
    sent, _answer = hooked.push()
    again = hooked.post(sent.body, sent.headers)
    other_id = hooked.post(sent.body, {**sent.headers, "X-Gitea-Delivery": "another-delivery-id"})
    newer = hooked.forge.pushed(PROJECT, hooked.secret, "refs/heads/main", SECOND, THIRD)
    other_body = hooked.post(newer.body, {**newer.headers, "X-Gitea-Delivery": sent.headers["X-Gitea-Delivery"]})
    assert [one.status_code for one in (again, other_id, other_body)] == [202] * 3
    assert [one.json()["known"] for one in (again, other_id, other_body)] == [True] * 3
    assert Delivery.objects.count() == 1


def test_a_stranger_learns_nothing(hooked):
    sent = hooked.forge.pushed(PROJECT, "not the secret", "refs/heads/main", FIRST, SECOND)
    wrong = hooked.post(sent.body, sent.headers)
    nowhere = hooked.post(sent.body, sent.headers, "A" * 32)
    odd = hooked.post(sent.body, sent.headers, "x")
    assert [one.status_code for one in (wrong, nowhere, odd)] == [401] * 3
    assert wrong.json() == nowhere.json() == odd.json()
    assert Delivery.objects.count() == 0
    hooked.connection.refresh_from_db()
    assert hooked.connection.problem == UNSIGNED


def test_another_method_and_a_body_that_is_too_large_are_refused(hooked):
    assert hooked.client.get(f"/hooks/{hooked.connection.hook_id}").status_code == 405
    sent = hooked.forge.pushed(PROJECT, hooked.secret, "refs/heads/main", FIRST, SECOND)
    assert hooked.post(b"x" * (LARGEST_BODY + 1), sent.headers).status_code == 413
    assert Delivery.objects.count() == 0


def test_a_body_just_within_the_limit_is_taken_and_not_kept_for_long(hooked, cast, api):
    noise = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(1_000_000))
    sent = hooked.forge.sign("push", {"ref": "refs/heads/main", "before": FIRST, "after": SECOND, "noise": noise}, hooked.secret)
    assert len(sent.body) > 2 * 1024 * 1024
    assert hooked.post(sent.body[:LARGEST_BODY], sent.headers).status_code in {202, 401}
    small = hooked.forge.sign("push", {"ref": "refs/heads/main", "before": FIRST, "after": SECOND, "noise": noise[:700_000]}, hooked.secret)
    assert hooked.post(small.body, small.headers).status_code == 202
    deliveries.act_due()
    row = Delivery.objects.latest("received_at")
    assert row.sealed_body == ""
    assert api(cast.alice)("POST", f"/sites/guestbook/deliveries/{row.id}/redeliver").status_code == 409


def test_somebody_who_sends_too_much_is_asked_to_wait(hooked, stage):
    for _number in range(MOST_A_MINUTE):
        assert hooked.push()[1].status_code == 202
    answer = hooked.push()[1]
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    stage.clock.advance(61)
    assert hooked.push()[1].status_code == 202


def test_many_events_are_one_fetch(hooked, stage):
    before = syncs().count()
    for number in range(5):
        hooked.push(new=f"{number}" * 40)
    deliveries.act_due()
    assert syncs().count() == before + 1
    stage.play()
    hooked.push(new="9" * 40)
    deliveries.act_due()
    assert syncs().count() == before + 2


def test_a_worker_that_is_killed_while_it_acts_has_done_nothing_and_another_one_does_it_once(hooked, monkeypatch):
    hooked.push()
    before = syncs().count()
    done = deliveries._close

    def dying(row, result):
        done(row, result)
        raise KeyboardInterrupt

    monkeypatch.setattr(deliveries, "_close", dying)
    with pytest.raises(KeyboardInterrupt):
        deliveries.act_due()
    assert syncs().count() == before
    assert Delivery.objects.get().outcome == Outcome.RECEIVED
    monkeypatch.setattr(deliveries, "_close", done)
    assert deliveries.act_due() == 1
    assert deliveries.act_due() == 0
    assert syncs().count() == before + 1


def test_what_concerns_another_repository_or_nobody_is_ignored_in_words(hooked):
    hooked.forge.said["bob/other"] = None
    sent = hooked.forge.pushed("bob/other", hooked.secret, "refs/heads/main", FIRST, SECOND)
    hooked.post(sent.body, sent.headers)
    sent = hooked.forge.sign("issues", {"action": "opened"}, hooked.secret)
    hooked.post(sent.body, sent.headers)
    deliveries.act_due()
    rows = Delivery.objects.order_by("received_at", "id")
    assert {row.outcome for row in rows} == {Outcome.IGNORED}
    assert sorted(row.detail for row in rows) == [
        "It is about bob/other; this site is connected with alice/notes.",
        "The event “issues” changes nothing here.",
    ]


def test_a_delivery_can_be_acted_upon_again_by_hand(hooked, stage, cast, api):
    hooked.push()
    deliveries.act_due()
    stage.play()
    first = Delivery.objects.get()
    answer = api(cast.bob)("POST", f"/sites/guestbook/deliveries/{first.id}/redeliver")
    assert answer.status_code == 202
    assert answer.json()["again_of"] == first.id
    deliveries.act_due()
    items = api(cast.bob)("GET", "/sites/guestbook/deliveries").json()["items"]
    assert [one["outcome"] for one in items] == ["acted", "acted"]
    assert items[0]["operation"] != items[1]["operation"]
    assert api(cast.vera)("POST", f"/sites/guestbook/deliveries/{first.id}/redeliver").status_code == 403
    assert api(cast.charlie)("GET", "/sites/guestbook/deliveries").status_code == 404


def test_the_log_is_kept_for_thirty_days_and_two_hundred_deliveries(hooked, stage):
    for number in range(230):
        stage.clock.advance(0.01)
        at = moment(stage.clock.now())
        row = {"event": "push", "summary": f"number {number}", "outcome": Outcome.ACTED, "received_at": at}
        Delivery.objects.create(connection=hooked.connection, delivery=str(number), sealed_body="", **row)
    deliveries.forget_old()
    assert Delivery.objects.count() == 200
    assert Delivery.objects.first().summary == "number 229"
    stage.clock.advance(31 * 86_400)
    deliveries.forget_old()
    assert Delivery.objects.count() == 0


BODIES = [
    b"",
    b"{}",
    b"[]",
    b"\x00" * 100,
    b"\xff\xfe",
    b'{"a":' * 50_000,
    b"payload=%7B%7D",
    b'{"ref": "refs/heads/\\u0000"}',
    b"7" * 9000,
]
KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/plain; charset=utf-16",
    "\x7f",
]
EVENTS = ["push", "pull_request", "", "x" * 5000, "pu\tsh", "déjà"]


@pytest.mark.parametrize("vendor", ["github", "gitlab", "gitea", "plain"])
def test_no_request_whatever_ends_in_an_error_of_ours(hooked, stage, vendor):
    """Signed as it should be, so that everything behind the signature is reached as well."""
    import hashlib
    import hmac

    Connection.objects.update(vendor=vendor)
    now = int(stage.clock.now())
    for body in BODIES:
        made = hmac.new(hooked.secret.encode(), body, hashlib.sha256).hexdigest()
        plain = hmac.new(hooked.secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        proof = {
            "X-Hub-Signature-256": f"sha256={made}",
            "X-Gitea-Signature": made,
            "X-Gitlab-Token": hooked.secret,
            "X-Sitewright-Signature": f"t={now},v1={plain}",
        }
        for kind, event in [(kind, EVENTS[0]) for kind in KINDS] + [(KINDS[0], event) for event in EVENTS]:
            stage.clock.advance(2) if vendor != "plain" else None
            said = {"X-GitHub-Event": event, "X-Gitlab-Event": event, "X-Gitea-Event": event}
            answer = hooked.post(body, {**proof, **said, "Content-Type": kind})
            assert answer.status_code in {202, 400, 401, 429}, (answer.status_code, body[:20], kind, event)
    while deliveries.act_due():
        pass
    assert not Delivery.objects.filter(outcome__in=[Outcome.FAILED, Outcome.RECEIVED]).exists()


def test_the_answer_takes_less_than_fifty_milliseconds_of_ours(hooked):
    hooked.push()
    spent = []
    for number in range(20):
        sent = hooked.forge.pushed(PROJECT, hooked.secret, "refs/heads/main", FIRST, f"{number:040x}")
        began = time.thread_time()
        assert hooked.post(sent.body, sent.headers).status_code == 202
        spent.append(time.thread_time() - began)
    assert sorted(spent)[10] < 0.05


def test_nothing_of_a_secret_is_in_a_row_or_in_the_log(hooked, caplog):
    caplog.set_level("DEBUG")
    sent, _answer = hooked.push()
    hooked.post(sent.body, {**sent.headers, "X-Gitea-Signature": "0" * 64, "Authorization": "Basic c2VjcmV0"})
    deliveries.act_due()
    row = Delivery.objects.get()
    everything = json.dumps([row.headers, row.summary, row.detail, row.sealed_body]) + caplog.text
    assert hooked.secret not in everything
    assert sent.headers["X-Gitea-Signature"] not in everything
    assert decrypt(django.ENCRYPTION_KEYS, hooked.connection.sealed_hook_secret) == hooked.secret


@pytest.mark.parametrize(
    ("path", "mib", "passed"),
    [("/hooks/x", 5, True), ("/hooks/x", 6, False), ("/hooksx", 2, False), ("/api/v1/hooks/x", 2, False), ("/hooks/x", 0, True)],
)
def test_only_web_hooks_may_send_five_mebibytes_unsigned(db, path, mib, passed):
    from asgiref.sync import async_to_sync

    from sitewright.manager.api.bodies import limited

    came = []

    async def inner(scope, receive, send):
        came.append(await receive())

    async def receive():
        return {"type": "http.request", "body": b"x" * (mib << 20), "more_body": False}

    async def send(_message):
        pass

    for headers in ([(b"content-length", str(mib << 20).encode())], []):
        came.clear()
        async_to_sync(limited)(inner, {"method": "POST", "path": path, "headers": headers}, receive, send)
        assert [message["type"] for message in came] in ([["http.request"]] if passed else [[], ["http.disconnect"]])
