"""The SSH door and git's clients with a real manager process: over a real bus, and over its socket."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sitewright.bus.messages import DoorGrant, DoorKey, DoorOpen, DoorPerson, DoorService
from sitewright.bus.subjects import DOOR, door
from sitewright.domain.identity import new_id
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.manager.bus import BusThread
from sitewright.testing.manager_process import ManagerProcess, running_manager

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChAzSmCNuDrCOvMrTUi2RfDGpNNRTZ2JsFnJRgmS alice@laptop"
SITE = {"name": "guestbook", "source": {"kind": "template", "name": "flask"}}


@pytest.fixture
def manager(tmp_path) -> Iterator[ManagerProcess]:
    with running_manager(tmp_path, os.environ.get("SITEWRIGHT_DATABASE_URL", "")) as running:
        yield running


@pytest.fixture
def bus(manager) -> Iterator[BusThread]:
    """The door's own connection, with the door's own credentials."""
    thread = BusThread(lambda: manager.nats.bus(DOOR))
    thread.start()
    yield thread
    thread.stop()


def test_the_door_learns_whose_key_it_is_and_has_a_node_open_what_they_may(manager, bus):
    def ask(method, question, answer):
        return bus.run(bus.bus.request(door(DOOR, method), question, answer, 20), 25)

    manager.finished(manager.api("POST", "/sites", json=SITE)["operation"]["id"])
    with pytest.raises(NotFoundError):
        ask("key", DoorKey(fingerprint="SHA256:nobody"), DoorPerson)
    added = manager.api("POST", "/keys", json={"public_key": KEY})
    assert added["label"] == "alice@laptop"
    person = ask("key", DoorKey(fingerprint=added["fingerprint"], address="192.0.2.7", used=True), DoorPerson)
    assert person.email.startswith("admin@")
    assert manager.api("GET", "/keys")["items"][0]["last_used_from"] == "192.0.2.7"
    session = new_id()
    asked = DoorOpen(session=session, user_id=person.user_id, site="guestbook", service=DoorService.SHELL, argv=("/bin/sh", "-c", "id"))
    assert ask("open", asked, DoorGrant) == DoorGrant(node="node1")
    assert manager.node.opened[-1].session == f"{DOOR}.{session}"
    with pytest.raises(NotFoundError):
        ask("open", asked.model_copy(update={"session": new_id(), "site": "guestbuch"}), DoorGrant)
    with pytest.raises(InvalidValueError):
        ask("open", asked.model_copy(update={"session": "manager.>"}), DoorGrant)


def test_a_push_over_http_is_passed_on_as_it_comes(manager):
    manager.finished(manager.api("POST", "/sites", json=SITE)["operation"]["id"])
    pieces, piece = 200, b"x" * 100_000
    with manager.http() as client:
        kind = {"Content-Type": "application/x-git-receive-pack-request"}
        answer = client.post("/guestbook.git/git-receive-pack", content=(piece for _ in range(pieces)), headers=kind)
        assert answer.text == f"{pieces * len(piece)} bytes"
        assert answer.headers["content-type"] == "application/x-git-receive-pack-result"
        del client.headers["Authorization"]
        refused = client.post("/guestbook.git/git-receive-pack", content=(piece for _ in range(3)), headers=kind)
        assert refused.status_code == 401
