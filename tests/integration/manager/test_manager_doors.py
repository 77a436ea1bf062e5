"""Who comes in by SSH and by git over HTTP: every service, as owner, teammate, viewer, outsider and nobody."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator

from sitewright.bus.messages import DoorOpen, DoorService, ExecOpen, GitOpen, GitService
from sitewright.bus.subjects import DOOR, door_session
from sitewright.domain.identity import new_id
from sitewright.errors import ConflictError, ForbiddenError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import SshKey
from sitewright.manager.accounts.services import make_token
from sitewright.manager.accounts.ssh_keys import add_key, key_owner
from sitewright.manager.asgi import application
from sitewright.manager.audit.models import AuditEntry
from sitewright.manager.doors.opening import prepare
from sitewright.manager.sites.models import Channel

PEOPLE = ("charlie", "vera", "bob", "alice")
NO, WEAK, YES = "not there", "too weak", "yes"
DEVELOPERS = (NO, WEAK, YES, YES)
SERVICES = {
    DoorService.GIT_READ: (NO, YES, YES, YES),
    DoorService.GIT_WRITE: DEVELOPERS,
    DoorService.SHELL: DEVELOPERS,
    DoorService.FILES: DEVELOPERS,
    DoorService.PORT: DEVELOPERS,
}
"""A new service needs a row."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChAzSmCNuDrCOvMrTUi2RfDGpNNRTZ2JsFnJRgmS alice@laptop"


def asked(user, service=DoorService.SHELL, site="guestbook", **more):
    return DoorOpen(session=new_id(), user_id=str(user.pk), site=site, service=service, **more)


def answer(question):
    try:
        prepare(question, door_session(DOOR, question.session))
    except NotFoundError:
        return NO
    except ForbiddenError:
        return WEAK
    return YES


@pytest.fixture
def live(guestbook):
    Channel.objects.update(mode="live")
    return guestbook


@pytest.mark.parametrize("service", list(DoorService))
def test_each_person_may_open_what_their_role_allows(cast, live, service):
    got = tuple(answer(asked(getattr(cast, name), service, port=8000)) for name in PEOPLE)
    assert got == SERVICES[service]


def test_an_outsider_cannot_tell_a_foreign_site_from_none(cast, live):
    said = []
    for site in ("guestbook", "guestbuch"):
        with pytest.raises(NotFoundError) as refused:
            prepare(asked(cast.charlie, site=site), "door.x")
        said.append(refused.value.message.replace(site, "SITE"))
    assert said[0] == said[1]


def test_who_was_locked_out_opens_nothing(cast, live):
    cast.bob.is_active = False
    cast.bob.save()
    assert answer(asked(cast.bob)) == NO
    assert answer(asked(cast.bob).model_copy(update={"user_id": "alice"})) == NO


def test_what_was_opened_is_in_the_audit_trail_without_arguments(cast, live):
    opening = prepare(asked(cast.bob, argv=("/bin/sh", "-c", "mysql -psecret"), address="192.0.2.7"), "door.abc")
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.who, entry.address, entry.subject_name) == ("exec.opened", "bob@example.org", "192.0.2.7", "guestbook")
    assert entry.detail == {"channel": "production", "program": "mysql"}
    assert isinstance(opening.question, ExecOpen)
    assert opening.question.session == "door.abc"
    assert opening.question.metered


def test_a_browser_through_a_port_is_one_entry(cast, live):
    for _ in range(3):
        prepare(asked(cast.bob, DoorService.PORT, port=8000), "door.x")
    assert AuditEntry.objects.filter(action="port.opened").count() == 1


def test_files_of_releases_are_not_changed_by_hand(cast, guestbook):
    with pytest.raises(ConflictError, match="runs releases"):
        prepare(asked(cast.alice, DoorService.FILES), "door.x")


def test_a_repository_is_the_whole_sites(cast, live):
    with pytest.raises(InvalidValueError, match="whole site"):
        prepare(asked(cast.alice, DoorService.GIT_READ, site="guestbook--staging"), "door.x")
    opening = prepare(asked(cast.vera, DoorService.GIT_READ, protocol="version=2"), "door.x")
    assert isinstance(opening.question, GitOpen)
    assert (opening.question.service, opening.question.who) == (GitService.UPLOAD_PACK, "vera@example.org")


def test_a_channel_that_is_not_there_is_named(cast, live):
    with pytest.raises(NotFoundError, match="no channel “staging”"):
        prepare(asked(cast.alice, site="guestbook--staging"), "door.x")


def test_a_key_leads_to_its_owner_and_remembers_its_use(cast):
    row = add_key(cast.alice, KEY)
    assert key_owner(row.fingerprint).user == cast.alice
    assert SshKey.objects.get().last_used_at is None
    key_owner(row.fingerprint, "192.0.2.7", used=True)
    assert SshKey.objects.get().last_used_from == "192.0.2.7"
    cast.alice.is_active = False
    cast.alice.save()
    with pytest.raises(NotFoundError):
        key_owner(row.fingerprint)


# --- git over HTTP ---


def call(path, *, method="GET", body=(), query=b"", headers=()):
    """Status, headers and body of the answer; *body* is sent in those pieces."""

    async def talk():
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
        manager = ApplicationCommunicator(application, scope)
        pieces = list(body) or [b""]
        for number, piece in enumerate(pieces, 1):
            await manager.send_input({"type": "http.request", "body": piece, "more_body": number < len(pieces)})
        start = await manager.receive_output(20)
        got = b""
        more = True
        while more:
            part = await manager.receive_output(20)
            got += part.get("body", b"")
            more = part.get("more_body", False)
        await manager.wait(20)
        return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, got

    return async_to_sync(talk)()


def basic(secret, user="git"):
    return (b"authorization", b"Basic " + base64.b64encode(f"{user}:{secret}".encode()))


def refs(service, *headers, site="guestbook"):
    return call(f"/{site}.git/info/refs", query=f"service=git-{service}".encode(), headers=headers)


HTTP = {GitService.UPLOAD_PACK: (401, 404, 200, 200, 200), GitService.RECEIVE_PACK: (401, 404, 403, 200, 200)}


@pytest.mark.parametrize("service", list(GitService))
def test_each_person_may_read_or_push_over_http_as_their_role_allows(cast, guestbook, service):
    asking, sending = [], []
    for name in ("nobody", *PEOPLE):
        person = getattr(cast, name, None)
        headers = [basic(cast.token(person))] if person else []
        asking.append(refs(service.value, *headers)[0])
        kind = (b"content-type", f"application/x-git-{service.value}-request".encode())
        sending.append(call(f"/guestbook.git/git-{service.value}", method="POST", body=[b"0000"], headers=[*headers, kind])[0])
    assert tuple(asking) == tuple(sending) == HTTP[service]


def test_git_is_asked_for_a_password_and_the_token_may_be_a_bearers(cast, guestbook):
    status, headers, _ = refs("upload-pack")
    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="Sitewright", charset="UTF-8"')
    assert refs("upload-pack", (b"authorization", f"Bearer {cast.token(cast.vera)}".encode()))[0] == 200
    assert refs("upload-pack", basic("", user=cast.token(cast.vera)))[0] == 200
    assert refs("upload-pack", basic("correct horse battery staple", user="vera@example.org"))[0] == 401
    assert refs("upload-pack", (b"authorization", b"Basic ???"))[0] == 401


def test_a_token_that_may_read_does_not_push(cast, guestbook):
    token = make_token(cast.alice, "reader", scopes="read")[1]
    assert refs("upload-pack", basic(token))[0] == 200
    status, _, words = refs("receive-pack", basic(token))
    assert status == 403
    assert b"may only read" in words


def test_references_are_announced_as_git_expects_it(cast, guestbook, stage):
    token = cast.token(cast.alice)
    status, headers, body = refs("receive-pack", basic(token))
    assert status == 200
    assert headers["content-type"] == "application/x-git-receive-pack-advertisement"
    assert body.startswith(b"001f# service=git-receive-pack\n0000")
    assert refs("upload-pack", basic(token), (b"git-protocol", b"version=2"))[2] == b"0 bytes"
    assert (stage.node.git[-1].protocol, stage.node.git[-1].advertise, stage.node.git[-1].stateless) == ("version=2", True, True)


def test_a_body_in_pieces_and_a_packed_one_arrive_whole(cast, guestbook):
    kind, token = (b"content-type", b"application/x-git-upload-pack-request"), basic(cast.token(cast.alice))
    pieces = [b"x" * 100_000] * 30
    assert call("/guestbook.git/git-upload-pack", method="POST", body=pieces, headers=[kind, token])[2] == b"3000000 bytes"
    packed = gzip.compress(b"want " * 200_000)
    halves = [packed[: len(packed) // 2], packed[len(packed) // 2 :]]
    headers = [kind, token, (b"content-encoding", b"gzip")]
    assert call("/guestbook.git/git-upload-pack", method="POST", body=halves, headers=headers)[2] == b"1000000 bytes"


def test_a_packed_bomb_is_refused(cast, guestbook):
    headers = [(b"content-type", b"application/x-git-upload-pack-request"), basic(cast.token(cast.alice)), (b"content-encoding", b"gzip")]
    bomb = gzip.compress(b"0" * (80 * 1024 * 1024))
    status, _, words = call("/guestbook.git/git-upload-pack", method="POST", body=[bomb], headers=headers)
    assert status == 413
    assert b"64 MB" in words


def test_large_file_storage_is_refused_in_words(cast, guestbook):
    status, headers, body = call("/guestbook.git/info/lfs/objects/batch", method="POST", body=[b"{}"])
    assert (status, headers["content-type"]) == (501, "application/vnd.git-lfs+json")
    assert "not offered" in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/guestbook.git/info/refs", b"", 403),
        ("GET", "/guestbook.git/info/refs", b"service=git-shell", 403),
        ("GET", "/guestbook.git/HEAD", b"", 404),
        ("GET", "/guestbook.git", b"", 404),
        ("GET", "/guestbook.git/git-upload-pack", b"", 405),
        ("POST", "/guestbook.git/git-upload-pack", b"", 415),
    ],
)
def test_anything_but_the_smart_protocol_is_refused(cast, guestbook, method, path, query, status):
    assert call(path, method=method, query=query, headers=[basic(cast.token(cast.alice))])[0] == status


def test_a_node_that_is_away_is_said_so(cast, guestbook, stage):
    stage.node.behaviour.away = True
    status, headers, words = refs("upload-pack", basic(cast.token(cast.alice)))
    assert (status, headers["retry-after"]) == (503, "2")
    assert b"away" in words
