"""Code, channels, releases and builds as a person asks for them; against a platform that answers from a script."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewright.cli import client as client_module
from sitewright.cli import terminal
from sitewright.cli.freeze import moment
from sitewright.cli.main import app
from sitewright.cli.place import Place
from sitewright.errors import InvalidValueError
from sitewright.testing.scripted_api import Asked, Reply, ScriptedApi

DONE = {"id": "op1", "kind": "channel", "state": "succeeded", "site": "blog", "steps": [], "error": None}
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE alice@laptop"


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

    def lists(self, path: str, *items: Any) -> None:
        self.answers["GET", path] = {"items": list(items), "next": None}

    def sent(self, method: str, path: str) -> Asked:
        """The one such request."""
        [found] = [asked for asked in self.asked if (asked.method, asked.path) == (method, "/api/v1" + path)]
        return found


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    made, real = Script(), client_module.Client
    monkeypatch.setattr(client_module, "Client", lambda place: real(place, ScriptedApi(made.handle)))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SITEWRIGHT_URL", "http://sites.example.org")
    monkeypatch.setenv("SITEWRIGHT_TOKEN", "token")
    return made


def run(*words: str, stdin: str = "") -> Any:
    return CliRunner().invoke(app, list(words), input=stdin)


def said(*words: str, stdin: str = "") -> str:
    done = run(*words, stdin=stdin)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return str(done.output)


def refused(*words: str) -> InvalidValueError:
    error = run(*words).exception
    assert isinstance(error, InvalidValueError)
    return error


@pytest.mark.parametrize(
    ("words", "method", "path"),
    [
        (("sites", "restart", "blog"), "POST", "/sites/blog/restart"),
        (("sites", "stop", "blog"), "POST", "/sites/blog/stop"),
        (("env", "set", "blog", "A=b"), "PATCH", "/sites/blog/env"),
        (("env", "unset", "blog", "A"), "PATCH", "/sites/blog/env"),
        (("scale", "blog", "web=2"), "PATCH", "/sites/blog/scale"),
        (("sleep", "blog", "--never"), "PATCH", "/sites/blog/settings"),
        (("settings", "blog", "--affinity", "cookie"), "PATCH", "/sites/blog/settings"),
        (("rollback", "blog", "3"), "POST", "/sites/blog/rollback"),
        (("canary", "promote", "blog"), "POST", "/sites/blog/canary/promote"),
        (("publish", "blog", "-m", "words"), "POST", "/sites/blog/publish"),
    ],
)
def test_every_command_about_a_channel_takes_one(script: Script, words: tuple[str, ...], method: str, path: str) -> None:
    said(*words, "--channel", "staging")
    assert script.sent(method, path).query == {"channel": "staging"}


def test_a_channel_is_shown_with_its_own_address_and_state(script: Script) -> None:
    script.answers["GET", "/sites/blog"] = {"name": "blog", "state": "running", "url": "http://blog.example.org", "team": "choir"}
    own = {"name": "staging", "state": "crashed", "urls": ["http://staging--blog.example.org"], "mode": "live", "release": 3}
    script.answers["GET", "/sites/blog/channels/staging"] = own
    script.lists("/sites/blog/instances")
    shown = said("sites", "show", "blog", "--channel", "staging")
    assert "crashed" in shown
    assert "http://staging--blog.example.org" in shown
    assert "choir" in shown


def test_without_a_channel_none_is_named(script: Script) -> None:
    said("scale", "blog", "web=2", "--channel", "staging")
    said("scale", "blog", "web=3")
    assert [asked.query for asked in script.asked if asked.method == "PATCH"] == [{"channel": "staging"}, {}]


def test_a_command_inside_a_channel_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[dict[str, str]] = []

    def noted(_place: Place, _name: str, _argv: list[str], where: terminal.Where) -> int:
        queries.append(where.query)
        return 0

    monkeypatch.setattr(terminal, "run_remote", noted)
    said("exec", "--channel", "staging", "blog", "ls", "-l")
    said("run", "--channel", "staging", "blog", "ls")
    assert queries == [{"process": "web", "channel": "staging"}, {"one_off": "1", "channel": "staging"}]


def test_a_group_without_a_word_lists(script: Script) -> None:
    script.lists("/keys", {"id": 1, "label": "laptop", "fingerprint": "SHA256:abc", "last_used_at": None})
    assert "laptop" in said("keys")
    assert json.loads(said("keys", "list", "--json"))[0]["fingerprint"] == "SHA256:abc"


def test_a_key_is_sent_with_its_comment_as_its_name(script: Script, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(PUBLIC + "\n")
    said("keys", "add", str(tmp_path / "id.pub"))
    assert script.sent("POST", "/keys").body == {"public_key": PUBLIC, "label": "alice@laptop"}


def test_the_only_key_of_the_ssh_folder_is_taken(script: Script, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519.pub").write_text(PUBLIC)
    said("keys", "add")
    assert script.sent("POST", "/keys").body["public_key"] == PUBLIC
    (tmp_path / ".ssh/other.pub").write_text(PUBLIC)
    assert "more than one" in refused("keys", "add").message


def test_a_private_key_never_leaves(script: Script, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n")
    error = refused("keys", "add", str(tmp_path / "id"))
    assert "Nothing was sent" in error.message
    assert "secret" not in error.message + error.details
    assert not script.asked


def test_channels_are_listed_with_what_is_special_about_them(script: Script) -> None:
    staging = {"name": "staging", "branch": "next", "release": 4, "urls": ["http://staging--blog.example.org"], "data_of": "production"}
    script.lists("/sites/blog/channels", {"name": "production", "protected": True, "deploy_role": "owner"}, staging)
    shown = said("channels", "blog")
    assert "protected: owners deploy" in shown
    assert "http://staging--blog.example.org" in shown
    assert "uses the data of production" in shown


def test_a_channel_is_made_changed_and_removed(script: Script) -> None:
    said("channels", "create", "blog", "staging", "--branch", "next", "--copy-env", "--share-data")
    wanted = {"name": "staging", "branch": "next", "mode": "released", "copy_env": True, "share_data": True}
    assert script.sent("POST", "/sites/blog/channels").body == wanted
    said("channels", "set", "blog", "staging", "--protect", "--deploy-role", "owner")
    assert script.sent("PATCH", "/sites/blog/channels/staging").body == {"protected": True, "deploy_role": "owner"}
    refused("channels", "set", "blog", "staging")
    refused("channels", "remove", "blog", "staging")
    said("channels", "remove", "blog", "staging", "--confirm", "staging")
    assert script.sent("DELETE", "/sites/blog/channels/staging")


def test_promote_names_both_channels(script: Script) -> None:
    assert "production of blog runs what staging runs" in said("promote", "blog", "--from", "staging")
    assert script.sent("POST", "/sites/blog/channels/production/adopt").body == {"from": "staging"}
    said("promote", "blog", "--from", "production", "--to", "staging", "--release", "3")
    assert script.sent("POST", "/sites/blog/channels/staging/adopt").body == {"from": "production", "release": 3}


def test_a_freeze_ends_at_a_time_or_after_one(script: Script) -> None:
    now = datetime(2031, 7, 1, 8, tzinfo=UTC)
    assert moment("2h", now) == datetime(2031, 7, 1, 10, tzinfo=UTC)
    assert moment("2031-07-02T08:00+00:00", now) == datetime(2031, 7, 2, 8, tzinfo=UTC)
    with pytest.raises(InvalidValueError):
        moment("soon", now)
    said("freeze", "blog", "--until", "2h", "--reason", "exams")
    assert script.sent("POST", "/sites/blog/channels/production/freeze").body["reason"] == "exams"
    said("unfreeze", "blog")
    assert script.sent("DELETE", "/sites/blog/channels/production/freeze")


def test_releases_say_by_whom_and_what(script: Script) -> None:
    release = {
        "number": 7,
        "author": "Alice",
        "commit": "ab" * 20,
        "subject": "More red",
        "changes": {"files": 1, "added": 2, "removed": 3},
    }
    script.lists("/sites/blog/releases", release)
    shown = said("releases", "blog")
    assert "Alice" in shown
    assert "1 file, +2 −3" in shown
    assert json.loads(said("releases", "blog", "--json")) == [release]


def test_publish_needs_words_or_a_choice(script: Script) -> None:
    refused("publish", "blog")
    refused("publish", "blog", "--stash", "--discard")
    assert not script.asked
    said("publish", "blog", "-m", "Opening hours")
    assert script.sent("POST", "/sites/blog/publish").body == {"message": "Opening hours"}
    said("publish", "blog", "--stash")
    assert script.sent("POST", "/sites/blog/edits/stash")
    said("publish", "blog", "--discard")
    assert script.sent("POST", "/sites/blog/edits/discard")


def test_a_token_travels_in_the_body_and_comes_from_a_file(script: Script, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-token\n")
    script.answers["PUT", "/sites/blog/connection"] = {"url": "https://git.example.org/a/b", "deploy_key": "ssh-ed25519 AAAA"}
    shown = said("connect", "blog", "https://git.example.org/a/b", "--token-file", str(tmp_path / "token"))
    assert script.sent("PUT", "/sites/blog/connection").body == {"url": "https://git.example.org/a/b", "token": "secret-token"}
    assert "secret-token" not in shown
    assert "ssh-ed25519 AAAA" in shown
    said("disconnect", "blog")
    said("fetch", "blog")
    assert script.sent("POST", "/sites/blog/connection/fetch")


def test_deliveries_previews_and_builds_are_listed_and_acted_on(script: Script) -> None:
    script.lists("/sites/blog/deliveries", {"id": "d1", "event": "push", "outcome": "acted", "summary": "main"})
    script.lists("/sites/blog/previews", {"id": "p1", "number": 7, "title": "More red", "state": "open"})
    script.lists("/sites/blog/builds", {"id": "b1", "state": "succeeded"})
    script.lists("/queue", {"position": 2, "site": "blog", "state": "queued", "wait_seconds": 12.0})
    assert "acted" in said("deliveries", "blog")
    assert "#7 More red" in said("previews", "blog")
    assert "succeeded" in said("builds", "blog")
    assert "12 s" in said("queue")
    said("deliveries", "redeliver", "blog", "d1")
    said("previews", "allow", "blog", "p1", "--commit", "ab" * 20)
    said("previews", "close", "blog", "p1")
    said("builds", "cancel", "b1")
    posted = [asked.path.removeprefix("/api/v1") for asked in script.asked if asked.method == "POST"]
    acts = ["/sites/blog/deliveries/d1/redeliver", "/sites/blog/previews/p1/allow", "/sites/blog/previews/p1/close", "/builds/b1/cancel"]
    assert posted == acts
    script.answers["PATCH", "/sites/blog/previews"] = {"makes": "branches", "days": 3, "items": [], "next": None}
    assert "3 days" in said("previews", "set", "blog", "--of", "branches", "--days", "3")
    assert script.sent("PATCH", "/sites/blog/previews").body == {"makes": "branches", "days": 3}


def test_what_a_build_installed_is_a_table_or_cyclonedx(script: Script) -> None:
    script.answers["GET", "/builds/b1/artefacts"] = {"items": [{"name": "flask", "version": "3.1", "purl": "pkg:pypi/flask@3.1"}]}
    assert "pkg:pypi/flask@3.1" in said("builds", "sbom", "b1")
    said("builds", "sbom", "b1", "--cyclonedx")
    assert script.asked[-1].query == {"format": "cyclonedx"}


def test_the_remote_is_added_to_the_repository_of_this_folder(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    monkeypatch.chdir(folder)
    git = {"ssh": "ssh://git@sites.example.org:2222/blog", "https": "https://sites.example.org/blog.git"}
    script.answers["GET", "/sites/blog"] = {"name": "blog", "git": git, "release": 3}
    first = said("git", "blog")
    assert "git push sitewright main" in first
    assert "has code already" in first
    assert remote(folder) == git["ssh"]
    said("git", "blog", "--https")
    assert remote(folder) == git["https"]


def test_outside_a_repository_the_address_is_printed(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    script.answers["GET", "/sites/blog"] = {"name": "blog", "git": {"ssh": "ssh://git@sites.example.org:2222/blog"}}
    assert "ssh://git@sites.example.org:2222/blog" in said("git", "blog")


def remote(folder: Path) -> str:
    done = subprocess.run(["git", "remote", "get-url", "sitewright"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_configuration_is_looked_over_without_asking_anybody(script: Script, tmp_path: Path) -> None:
    (tmp_path / "sitewright.toml").write_text('[build]\ncommand = "make"\n')
    (tmp_path / "_redirects").write_text("/old /new 301\n")
    assert "right" in said("config", "check", str(tmp_path))
    (tmp_path / "sitewright.toml").write_text('[build]\nkommand = "make"\n')
    done = run("config", "check", str(tmp_path))
    assert done.exit_code == 2
    assert f"{tmp_path}/sitewright.toml:2: " in done.output
    assert "kommand" in done.output
    assert json.loads(run("config", "check", str(tmp_path), "--json").stdout)[0]["line"] == 2
    assert not script.asked
