"""Commands as a person types them, against a platform that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewright.cli import client as client_module
from sitewright.cli.env import parse_pairs
from sitewright.cli.main import app
from sitewright.cli.output import clean, terminal_text
from sitewright.cli.place import Place, config_file, current_place, remember
from sitewright.errors import InvalidValueError, SitewrightError
from sitewright.testing.scripted_api import Asked, Reply, ScriptedApi

Answers = dict[tuple[str, str], Reply]
DONE = {"id": "op1", "kind": "create", "state": "succeeded", "site": "blog", "steps": [], "error": None}


class Platform:
    def __init__(self) -> None:
        self.answers: Answers = {}
        self.asked: list[tuple[str, str, Any]] = []

    def on(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.answers[(method, "/api/v1" + path)] = Reply.of(body, status)

    def handle(self, asked: Asked) -> Reply:
        self.asked.append((asked.method, asked.path, asked.body))
        missing = Reply.of({"title": "There is no such thing.", "code": "not_found"}, 404)
        return self.answers.get((asked.method, asked.path), missing)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Platform:
    made = Platform()
    real = client_module.Client

    def client(place: Place) -> client_module.Client:
        return real(place, ScriptedApi(made.handle))

    monkeypatch.setattr(client_module, "Client", client)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SITEWRIGHT_URL", "http://sites.example.org")
    monkeypatch.setenv("SITEWRIGHT_TOKEN", "token")
    return made


Run = Callable[..., Any]


@pytest.fixture
def run(platform: Platform) -> Run:
    def typed(*words: str, stdin: str = "") -> Any:
        return CliRunner().invoke(app, list(words), input=stdin)

    return typed


def test_a_listing_is_a_table_for_people_and_json_for_programs(platform: Platform, run: Run) -> None:
    platform.on("GET", "/sites", {"items": [{"name": "blog", "state": "running", "url": "http://blog.example.org"}], "next": None})
    assert "blog  running" in run("sites", "list").output
    assert json.loads(run("sites", "list", "--json").stdout)[0]["name"] == "blog"


def test_nothing_to_list_says_what_to_do(platform: Platform, run: Run) -> None:
    platform.on("GET", "/sites", {"items": [], "next": None})
    assert "sites create" in run("sites", "list").output


def test_create_from_a_template_sends_it_and_waits(platform: Platform, run: Run) -> None:
    platform.on("POST", "/sites", {"site": {"name": "blog", "url": "http://blog.example.org"}, "operation": DONE}, 202)
    platform.on("GET", "/operations/op1", DONE)
    platform.answers[("GET", "/api/v1/operations/op1/stream")] = Reply(200, f"event: operation\ndata: {json.dumps(DONE)}\n\n".encode())
    done = run("sites", "create", "blog", "--template", "guestbook")
    assert done.exit_code == 0, done.output
    assert "blog is online: http://blog.example.org" in done.output
    assert platform.asked[0][2] == {"name": "blog", "mode": "released", "source": {"kind": "template", "name": "guestbook"}}


def test_create_from_a_folder_uploads_it_first(platform: Platform, run: Run, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    platform.on("POST", "/uploads", {"digest": "d" * 64, "size": 5}, 201)
    platform.on("POST", "/sites", {"site": {"name": "blog"}, "operation": DONE}, 202)
    done = run("sites", "create", "blog", "--from", str(tmp_path), "--no-wait")
    assert done.exit_code == 0, done.output
    assert done.stdout == "op1\n"
    assert platform.asked[1][2]["source"]["digest"] == "d" * 64


def test_a_failed_operation_is_an_error_with_its_reason(platform: Platform, run: Run) -> None:
    error = {"code": "build_failed", "message": "No start command.", "details": "", "resolution": "Write a Procfile."}
    failed = {**DONE, "state": "failed", "error": error}
    platform.on("POST", "/sites/blog/restart", {"operation": DONE}, 202)
    platform.answers[("GET", "/api/v1/operations/op1/stream")] = Reply(200, f"event: operation\ndata: {json.dumps(failed)}\n\n".encode())
    done = run("sites", "restart", "blog")
    assert isinstance(done.exception, SitewrightError)
    assert done.exception.exit_code == 9
    assert done.exception.resolution == "Write a Procfile."


def test_create_without_a_source_waits_for_a_push(platform: Platform, run: Run) -> None:
    platform.on("POST", "/sites", {"site": {"name": "blog"}, "operation": None}, 202)
    assert "sitewright git blog" in run("sites", "create", "blog").output
    assert platform.asked[0][2] == {"name": "blog", "mode": "released"}


def test_create_from_two_things_is_refused_before_anything_is_asked(platform: Platform, run: Run) -> None:
    assert isinstance(run("sites", "create", "blog", "--template", "static", "--from", ".").exception, InvalidValueError)
    assert not platform.asked


def test_delete_needs_the_name_typed(platform: Platform, run: Run) -> None:
    assert isinstance(run("sites", "delete", "blog", "--confirm", "blok").exception, InvalidValueError)
    assert not platform.asked
    platform.on("DELETE", "/sites/blog", {}, 202)
    assert run("sites", "delete", "blog", "--confirm", "blog").exit_code == 0


def test_a_typed_name_stays_one_segment_of_the_path(platform: Platform, run: Run) -> None:
    run("sites", "show", "../me")
    assert platform.asked[0][1] == "/api/v1/sites/../me"
    assert len(platform.asked) == 1


def test_variables_are_set_as_secrets_from_standard_input(platform: Platform, run: Run) -> None:
    platform.on("PATCH", "/sites/blog/env", {}, 202)
    assert run("env", "set", "blog", "API_KEY=-", "--secret", stdin="s3cret\n").exit_code == 0
    assert platform.asked[0][2] == {"set": {"API_KEY": {"value": "s3cret", "secret": True}}, "unset": []}


def test_secret_values_are_not_in_the_listing(platform: Platform, run: Run) -> None:
    platform.on("GET", "/sites/blog/env", {"items": [{"name": "K", "value": None, "secret": True}], "next": None})
    assert "(secret)" in run("env", "list", "blog").output


@pytest.mark.parametrize("words", [["NAME"], ["=x"], ["A=-", "B=-"]])
def test_pairs_without_a_value_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidValueError):
        parse_pairs(words)


def test_a_value_may_hold_equal_signs() -> None:
    assert parse_pairs(["URL=postgres://x?a=b"]) == {"URL": "postgres://x?a=b"}


def test_logs_print_source_and_text(platform: Platform, run: Run) -> None:
    line = {"at": 1.0, "source": "web.1", "text": "GET /\x1b]0;owned\x07"}
    platform.on("GET", "/sites/blog/logs", {"lines": [line], "cursor": "", "ended": False})
    shown = run("logs", "blog").output
    assert "web.1  GET /]0;owned" in shown
    assert "\x1b" not in shown


def test_the_token_is_kept_for_its_owner_only(platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITEWRIGHT_HOME", "/nonexistent")
    monkeypatch.delenv("SITEWRIGHT_TOKEN")
    platform.on("POST", "/auth/tokens", {"token": "fresh"}, 201)
    platform.on("GET", "/me", {"email": "alice@example.org"})
    done = run("login", "http://sites.example.org", "--email", "alice@example.org", stdin="password\n")
    assert "Signed in" in done.output
    assert config_file().stat().st_mode & 0o777 == 0o600
    assert current_place().token == "fresh"
    remember("http://sites.example.org", "")
    assert current_place().token == ""


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in clean("a\x1b[2Jb")
    assert terminal_text("a\x1b[31mred\x1b]0;title\x07") == "ared]0;title"
