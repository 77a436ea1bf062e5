"""The real manager process on a real bus: setup, serving, terminals, kill -9 in the middle of everything."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import unix_connect

from sitewright.domain.desired import CanaryState
from sitewright.domain.states import BuildState
from sitewright.testing.manager_process import ManagerProcess, running_manager

SITE = {"name": "guestbook", "source": {"kind": "template", "name": "flask"}}


@pytest.fixture
def manager(tmp_path):
    with running_manager(tmp_path, os.environ.get("SITEWRIGHT_DATABASE_URL", "")) as running:
        yield running


def pss_megabytes(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Pss")


def processor_seconds():
    """Of children that have ended: what they take does not depend on who else is busy here."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_setup_is_quick_when_nothing_is_to_be_done_and_makes_files_only_its_user_can_read(manager):
    before = processor_seconds()
    link = manager.setup()["sign_in_url"]
    assert processor_seconds() - before < 5
    paths = manager.settings.paths
    for file in (paths.local_token, paths.database.parent / "secret.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = paths.local_token.read_text()
    manager.setup()
    assert paths.local_token.read_text() == token
    with manager.http() as client:
        del client.headers["Authorization"]
        assert client.get(link).status_code == 200


def test_a_site_is_created_through_the_real_bus(manager):
    answer = manager.api("POST", "/sites", json=SITE)
    done = manager.finished(answer["operation"]["id"])
    assert done["state"] == "succeeded", done
    assert manager.api("GET", "/sites/guestbook")["state"] == "running"


def test_killed_while_a_build_runs_it_goes_on_where_it_was(manager):
    manager.node.behaviour.build = BuildState.RUNNING
    operation = manager.api("POST", "/sites", json=SITE)["operation"]["id"]
    manager.until(lambda: manager.api("GET", f"/operations/{operation}")["steps"][2]["state"] == "running", "the build runs")
    manager.kill()
    manager.node.behaviour.build = BuildState.SUCCEEDED
    manager.start()
    done = manager.finished(operation, 60)
    assert done["state"] == "succeeded", done
    assert len(manager.node.builds) == 1


def test_killed_at_a_random_moment_again_and_again_nothing_is_lost(manager):
    operations = []
    for number in range(3):
        body = {**SITE, "name": f"site-{number}"}
        operations.append(manager.api("POST", "/sites", json=body)["operation"]["id"])
        manager.kill()
        manager.start()
    for operation in operations:
        assert manager.finished(operation, 90)["state"] == "succeeded"
    assert len(manager.node.builds) == 3


def test_the_bus_may_be_away_for_a_while(manager):
    manager.nats.kill()
    operation = manager.api("POST", "/sites", json=SITE)["operation"]["id"]
    manager.until(lambda: "Trying again" in str(manager.api("GET", f"/operations/{operation}")), "it says that it tries again")
    manager.nats.start()
    assert manager.finished(operation, 60)["state"] == "succeeded"


def test_a_worker_of_its_own_does_the_work_when_the_manager_has_none(manager, tmp_path):
    manager.stop()
    manager.start(SITEWRIGHT_WORKERS="0")
    operation = manager.api("POST", "/sites", json=SITE)["operation"]["id"]
    worker = subprocess.Popen([sys.executable, "-m", "sitewright.manager.worker"], env=manager.env)
    try:
        assert manager.finished(operation, 60)["state"] == "succeeded"
    finally:
        worker.terminate()
        assert worker.wait(20) == 0


def test_it_stops_when_told_to(manager):
    assert manager.stop() in {0, -15}


def test_an_idle_manager_is_small(manager):
    manager.finished(manager.api("POST", "/sites", json=SITE)["operation"]["id"])
    assert pss_megabytes(manager.pid) <= 85


def test_health_is_ready_when_the_node_is_heard(manager):
    manager.beat()
    with manager.http() as client:
        manager.until(lambda: client.get("/health/ready").status_code == 200, "it is ready")


def test_a_stranger_may_not_send_much(manager):
    with manager.http() as client:
        del client.headers["Authorization"]
        answer = client.post("/api/v1/uploads", content=b"x" * 1024 * 1024 * 2)
    assert answer.status_code == 413


def test_an_upload_is_streamed_to_disk(manager):
    def body():
        for _ in range(64):
            yield b"x" * 1024 * 1024

    with manager.http() as client:
        answer = client.post("/api/v1/uploads?filename=big.tar", content=body())
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == 64 * 1024 * 1024
    assert pss_megabytes(manager.pid) < 120
    assert [file.name for file in manager.settings.paths.uploads.iterdir()] == [answer.json()["digest"]]


# --- terminals ---


def socket(manager: ManagerProcess, path="/api/v1/sites/guestbook/exec?process=web", **headers):
    return unix_connect(
        str(manager.settings.paths.manager_socket),
        uri=f"ws://{manager.settings.manager_host}{path}",
        additional_headers=headers,
    )


def bearer(manager):
    return {"Authorization": f"Bearer {manager.settings.paths.local_token.read_text().strip()}"}


@pytest.fixture
def guestbook_runs(manager):
    manager.finished(manager.api("POST", "/sites", json=SITE)["operation"]["id"])
    return manager


def test_a_command_talks_both_ways_and_says_how_it_ended(guestbook_runs):
    with socket(guestbook_runs, **bearer(guestbook_runs)) as open_socket:
        open_socket.send(json.dumps({"argv": ["cat"]}))
        open_socket.send(b"hello " * 10_000)
        received = b""
        while len(received) < 60_000:
            received += open_socket.recv(20)
        assert received == b"HELLO " * 10_000
        open_socket.send(json.dumps({"kind": "eof"}))
        assert json.loads(open_socket.recv(20)) == {"kind": "exit", "code": 0}
    events = guestbook_runs.api("GET", "/sites/guestbook/events")["items"]
    assert "A command was opened: cat" in [event["text"] for event in events]


def test_a_command_gets_a_box_of_its_own_when_it_asks_for_one(guestbook_runs):
    for query, one_off, said in (
        ("?one_off=1", True, "A command in a box of its own was opened: cat"),
        ("", False, "A command was opened: cat"),
    ):
        with socket(guestbook_runs, f"/api/v1/sites/guestbook/exec{query}", **bearer(guestbook_runs)) as open_socket:
            open_socket.send(json.dumps({"argv": ["cat"]}))
            open_socket.send(json.dumps({"kind": "eof"}))
            assert json.loads(open_socket.recv(20)) == {"kind": "exit", "code": 0}
        assert guestbook_runs.node.opened[-1].one_off is one_off
        assert said in [event["text"] for event in guestbook_runs.api("GET", "/sites/guestbook/events")["items"]]


def test_a_changed_plan_and_a_trial_that_a_node_ends_are_told_by_themselves(guestbook_runs):
    manager, node = guestbook_runs, guestbook_runs.node
    (channel_id,) = node.desired
    manager.api("PATCH", "/plans/standard", json={"memory_mb": 192})
    manager.until(lambda: node.desired[channel_id].scale_of("web").limits.memory_bytes == 192 * 1024 * 1024, "the node has the new plan")
    source = {"source": SITE["source"], "canary_percent": 10}
    manager.finished(manager.api("POST", "/sites/guestbook/deploys", json=source)["operation"]["id"])
    assert node.desired[channel_id].canary is not None
    node.behaviour.canary, node.behaviour.canary_reason = CanaryState.ABORTED, "12 of 100 answers were errors."
    manager.node_thread.run(node.catch_up(channel_id), 5)
    manager.until(lambda: node.desired[channel_id].canary is None, "the node has forgotten the trial")
    assert manager.api("GET", "/sites/guestbook/canary")["last"]["reason"] == "12 of 100 answers were errors."


def refused(manager, path="/api/v1/sites/guestbook/exec", first=None, **headers):
    """Whether the socket is closed without having said anything."""
    try:
        with socket(manager, path, **headers) as open_socket:
            open_socket.send(first or json.dumps({"argv": ["cat"]}))
            open_socket.recv(20)
    except (ConnectionClosed, InvalidStatus):
        return True
    return False


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sw_nonsense_x"},
        {"Origin": "http://evil.example.org", "Cookie": "sitewright_session=x"},
        {"Origin": "http://guestbook.localhost:8000", "Cookie": "sitewright_session=x"},
    ],
)
def test_a_terminal_is_for_people_who_are_known_and_pages_that_are_ours(guestbook_runs, headers):
    assert refused(guestbook_runs, **headers)


def test_a_terminal_of_a_site_that_is_not_there_is_refused(guestbook_runs):
    assert refused(guestbook_runs, "/api/v1/sites/nowhere/exec", **bearer(guestbook_runs))


def test_a_first_frame_that_is_nonsense_ends_it(guestbook_runs):
    assert refused(guestbook_runs, first="nonsense", **bearer(guestbook_runs))
