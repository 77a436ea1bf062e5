"""How a site runs, as a person says it: scale, sleep, canaries, roll-backs, cron, plans; against a platform that answers from a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewright.cli import client as client_module
from sitewright.cli import terminal
from sitewright.cli.amounts import counts_of, duration, megabytes_of, millicores_of, percent_of, seconds_of
from sitewright.cli.main import app
from sitewright.cli.place import Place
from sitewright.errors import InvalidValueError
from sitewright.testing.scripted_api import Asked, Reply, ScriptedApi

DONE = {"id": "op1", "kind": "scale", "state": "succeeded", "site": "blog", "steps": [], "error": None}
SETTINGS = {
    "sleep": {"freeze_after_seconds": 900, "stop_after_seconds": 7200, "source": "default"},
    "affinity": "none",
    "strategy": "rolling",
    "max_surge": 1,
    "visits": {"connections": 0, "requests_per_second": 0, "body_mb": 20},
}
PROCESSES = [
    {"process": "web", "count": 2, "ready": 2, "memory_mb": 256, "cpu_millicores": 500},
    {"process": "worker", "count": 1, "ready": 0, "memory_mb": 128, "cpu_millicores": 1000},
    {"process": "cron-tidy", "count": 1, "ready": 0, "memory_mb": 128, "cpu_millicores": 1000, "fixed": True, "schedule": "@daily"},
]
SCALE = {"items": PROCESSES, "next": None, "memory_mb": 640, "team_memory_mb": 2048, "team_used_memory_mb": 900}


class Script:
    """Answers by method and path; says the operation to everything that changes something."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.asked: list[Asked] = []

    def handle(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        path = asked.path.removeprefix("/api/v1")
        if path == "/operations/op1/stream":
            return Reply(200, f"event: operation\ndata: {json.dumps(DONE)}\n\n".encode())
        if (asked.method, path) in self.answers:
            return Reply.of(self.answers[asked.method, path])
        return Reply.of({"operation": DONE}, 202) if asked.method != "GET" else Reply.of({"code": "not_found"}, 404)

    def sent(self, method: str, path: str) -> Any:
        """The body of the one such request."""
        [found] = [asked.body for asked in self.asked if (asked.method, asked.path) == (method, "/api/v1" + path)]
        return found


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    made, real = Script(), client_module.Client
    monkeypatch.setattr(client_module, "Client", lambda place: real(place, ScriptedApi(made.handle)))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SITEWRIGHT_URL", "http://sites.example.org")
    monkeypatch.setenv("SITEWRIGHT_TOKEN", "token")
    made.answers["GET", "/sites/blog/scale"] = SCALE
    made.answers["GET", "/sites/blog/settings"] = SETTINGS
    return made


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def said(*words: str) -> str:
    done = run(*words)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return str(done.output)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1.5s", 1.5), ("1d", 86400), ("0", 0)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 minutes", "1e3", "inf", "2y", "99999d", "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        seconds_of(text)


@pytest.mark.parametrize("text", ["90s", "15m", "2h", "1h30m", "1.5s", "3601s"])
def test_a_duration_is_said_as_it_is_read(text: str) -> None:
    assert duration(seconds_of(text)) == text


def test_no_duration_is_never() -> None:
    assert duration(0) == "never"


def test_shares_memory_and_processors_are_read_as_people_write_them() -> None:
    assert [percent_of(text) for text in ("10%", "10", "12.5 %")] == [10, 10, 12.5]
    assert [megabytes_of(text) for text in ("512", "512M", "1G", "2gb")] == [512, 512, 1024, 2048]
    assert [millicores_of(text) for text in ("0.5", "2", "250m")] == [500, 2000, 250]


@pytest.mark.parametrize("text", ["0", "100%", "150", "ten", "-1", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        percent_of(text)


@pytest.mark.parametrize("text", ["0", "0M", "lots", "-1G", "1T", ""])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        megabytes_of(text)


@pytest.mark.parametrize("text", ["0", "0.0001", "-1", "many", "m", ""])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        millicores_of(text)


@pytest.mark.parametrize("words", [["web"], ["=3"], ["web=x"], ["web=1", "web=2"], ["web=-3"], ["web=1.5"]])
def test_what_is_no_count_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidValueError):
        counts_of(words, {"web": 2})


def test_scale_without_counts_shows_them(script: Script) -> None:
    shown = said("scale", "blog")
    assert "web        2       2      256 MB       0.5" in shown
    assert "cron-tidy  @daily" in shown
    assert "may take 2048 MB and take 900 MB" in shown
    assert json.loads(said("scale", "blog", "--json")) == SCALE


def test_scale_sends_counts_and_waits(script: Script) -> None:
    assert "web=3 worker=1" in said("scale", "blog", "web=3", "worker=1")
    assert script.sent("PATCH", "/sites/blog/scale") == {"processes": {"web": {"count": 3}, "worker": {"count": 1}}}


def test_a_signed_count_is_added_to_what_there_is(script: Script) -> None:
    said("scale", "blog", "web=+1", "worker=-1")
    assert script.sent("PATCH", "/sites/blog/scale") == {"processes": {"web": {"count": 3}, "worker": {"count": 0}}}


def test_limits_alone_are_those_of_web(script: Script) -> None:
    said("scale", "blog", "--memory", "1G", "--cpu", "0.5")
    assert script.sent("PATCH", "/sites/blog/scale") == {"processes": {"web": {"memory_mb": 1024, "cpu_millicores": 500}}}


def test_sleep_shows_the_stage_and_what_it_saves(script: Script) -> None:
    told = {"stage": "stopped", "since": 1_700_000_000.0, "saved_bytes": 48_000_000}
    script.answers["GET", "/sites/blog"] = {"name": "blog", "channel": {"sleep": told, "last_request_at": None}}
    shown = said("sleep", "blog")
    assert "Memory saved   48 MB" in shown
    assert "Freezes after  15m" in shown
    assert "asleep, stopped" in shown
    assert json.loads(said("sleep", "blog", "--json"))["saved_bytes"] == 48_000_000


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("--freeze-after", "10m", "--stop-after", "2h"), {"freeze_after_seconds": 600, "stop_after_seconds": 7200}),
        (("--stop-after", "90s"), {"stop_after_seconds": 90}),
        (("--never",), "never"),
        (("--default",), "default"),
    ],
)
def test_sleep_is_set_as_it_is_said(script: Script, words: tuple[str, ...], sent: object) -> None:
    said("sleep", "blog", *words)
    assert script.sent("PATCH", "/sites/blog/settings") == {"sleep": sent}


def test_sleep_takes_durations_or_never(script: Script) -> None:
    assert isinstance(run("sleep", "blog", "--never", "--stop-after", "2h").exception, InvalidValueError)
    assert not script.asked


def test_waking_waits_for_it(script: Script) -> None:
    script.answers["POST", "/sites/blog/wake"] = {
        "channel": {"sleep": {"stage": "stopped"}},
        "operation": {"id": "op9", "state": "waiting"},
    }
    script.answers["GET", "/sites/blog"] = {"channel": {"sleep": {"stage": "awake"}}}
    assert "blog is awake" in said("wake", "blog")
    assert "blog is waking" in said("wake", "blog", "--no-wait")
    assert not [asked for asked in script.asked if "operations" in asked.path], "what else is being done is not its business"


def test_a_deploy_as_a_canary_says_how_to_watch_it(script: Script, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    script.answers["GET", "/sites/blog"] = {"name": "blog"}
    script.answers["POST", "/uploads"] = {"digest": "d" * 64, "size": 5}
    assert "sitewright canary blog" in said("deploy", str(tmp_path), "--site", "blog", "--canary", "10%")
    assert script.sent("POST", "/sites/blog/deploys")["canary_percent"] == 10


def test_a_deploy_can_take_over_at_once(script: Script, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    script.answers["GET", "/sites/blog"] = {"name": "blog"}
    script.answers["POST", "/uploads"] = {"digest": "d" * 64, "size": 5}
    said("deploy", str(tmp_path), "--site", "blog", "--blue-green")
    assert script.sent("POST", "/sites/blog/deploys")["strategy"] == "blue_green"


def test_a_canary_for_all_at_once_is_refused(script: Script) -> None:
    assert isinstance(run("deploy", "--site", "blog", "--canary", "10", "--blue-green").exception, InvalidValueError)
    assert not script.asked


def test_a_canary_is_shown_by_the_name_of_its_site(script: Script) -> None:
    canary = {"release": 4, "percent": 12.5, "slots": 2, "state": "serving", "requests": 100, "errors": 3, "latency": 0.012}
    script.answers["GET", "/sites/blog/canary"] = {
        "canary": {**canary, "old_release": 3, "old_requests": 700, "old_errors": 0, "old_latency": 0.01},
        "last": None,
    }
    shown = said("canary", "blog")
    assert "12.5 % of the requests" in shown
    assert "4 on trial        100       3       12 ms" in shown
    assert json.loads(said("canary", "show", "blog", "--json"))["canary"]["release"] == 4


def test_no_canary_says_how_to_begin_one(script: Script) -> None:
    last = {"release": 4, "verdict": "aborted", "reason": "5 of 40 requests failed."}
    script.answers["GET", "/sites/blog/canary"] = {"canary": None, "last": last}
    shown = said("canary", "blog")
    assert "--canary 10%" in shown
    assert "Release 4 was aborted. 5 of 40 requests failed." in shown


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_a_canary_is_decided(script: Script, verb: str) -> None:
    said("canary", verb, "blog")
    assert script.sent("POST", f"/sites/blog/canary/{verb}") == {}


def test_a_rollback_goes_to_a_number_or_to_the_one_before(script: Script) -> None:
    assert "release 3" in said("rollback", "blog", "3")
    assert script.sent("POST", "/sites/blog/rollback") == {"release": 3}
    script.asked.clear()
    said("rollback", "blog")
    assert script.sent("POST", "/sites/blog/rollback") == {}


def test_settings_are_shown_and_changed(script: Script) -> None:
    assert "Largest body               20 MB" in said("settings", "blog")
    said("settings", "blog", "--affinity", "cookie", "--limit", "connections=50", "--limit", "body=2M", "--limit", "requests=0")
    visits = {"connections": 50, "body_mb": 2, "requests_per_second": 0}
    assert script.sent("PATCH", "/sites/blog/settings") == {"affinity": "cookie", "visits": visits}


@pytest.mark.parametrize("word", ["memory=1", "connections", "requests=-1", "body=x"])
def test_what_is_no_limit_of_visitors_is_refused(script: Script, word: str) -> None:
    assert isinstance(run("settings", "blog", "--limit", word).exception, InvalidValueError)
    assert not script.asked


def test_crons_are_listed_with_their_last_run(script: Script) -> None:
    tidy = {"process": "cron-tidy", "schedule": "@daily", "timezone": "UTC", "last_at": 1.0, "last_seconds": 2.5, "last_result": "done"}
    script.answers["GET", "/sites/blog/crons"] = {"items": [tidy, {"process": "cron-mail", "schedule": "* * * * *"}], "next": None}
    shown = said("cron", "blog")
    assert "done (2.5 s)" in shown
    assert "not run yet" in shown


def test_plans_are_listed(script: Script) -> None:
    small = {"name": "small", "memory_mb": 256, "cpu_millicores": 500, "freeze_after_minutes": 15, "stop_after_minutes": 120, "open": True}
    script.answers["GET", "/plans"] = {"items": [small, {"name": "large", "always_on": True}], "next": None}
    shown = said("plans")
    assert "frozen after 15m, stopped after 2h" in shown
    assert "never where its owner says so" in shown


def test_a_plan_is_chosen_for_ones_own_team(script: Script) -> None:
    script.answers["GET", "/teams"] = {"items": [{"name": "chess", "personal": False}, {"name": "alice", "personal": True}], "next": None}
    script.answers["PATCH", "/teams/alice"] = {"name": "alice", "plan": "small"}
    assert "alice has the plan small" in said("plans", "--choose", "small")
    assert script.sent("PATCH", "/teams/alice") == {"plan": "small"}


def test_run_asks_for_an_instance_of_its_own_and_ends_with_the_commands_code(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def opened(place: Place, name: str, query: dict[str, str]) -> Any:
        asked.append(query)
        return Connection()

    monkeypatch.setattr(terminal, "_open", opened)
    assert run("run", "blog", "--", "python", "-c", "exit(7)").exit_code == 7
    assert run("exec", "--process", "worker", "blog", "--", "true").exit_code == 7
    assert asked == [{"one_off": "1"}, {"process": "worker"}]


class Connection:
    """A command that ends with 7."""

    def send(self, message: object) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing is open."""

    def __iter__(self) -> Any:
        yield json.dumps({"kind": "exit", "code": 7})
