"""What web hooks of each vendor say, and who may say it. The payloads are as the vendors document them."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.manager.repositories.vendors.base import Scheme
from sitewright.manager.repositories.vendors.gitea import Gitea
from sitewright.manager.repositories.vendors.github import GitHub
from sitewright.manager.repositories.vendors.gitlab import GitLab
from sitewright.manager.repositories.vendors.plain import Plain
from sitewright.manager.repositories.vendors.values import (
    Ignored,
    Ping,
    PullAction,
    PullChanged,
    Pushed,
    StatusNews,
    There,
)

PAYLOADS = Path(__file__).parent / "payloads"
SECRET = "what Alice and the platform know"
NOW = 1_772_400_000.0
FIRST, SECOND, THIRD = "1a" * 20, "2b" * 20, "3c" * 20
SCHEMES: dict[str, Scheme] = {"github": GitHub(), "gitlab": GitLab(), "gitea": Gitea(), "plain": Plain()}


def recorded(vendor, name):
    """Headers in lower case, signed, and the body."""
    found = json.loads((PAYLOADS / vendor / f"{name}.json").read_text())
    body = json.dumps(found["body"]).encode()
    headers = {key.lower(): value for key, value in found["headers"].items()}
    return headers | signature(vendor, body), body


def signature(vendor, body, secret=SECRET):
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if vendor == "plain":
        seconds = str(int(NOW))
        made = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"x-sitewright-signature": f"t={seconds},v1={made}"}
    return {
        "github": {"x-hub-signature-256": f"sha256={made}"},
        "gitlab": {"x-gitlab-token": secret},
        "gitea": {"x-gitea-signature": made},
    }[vendor]


def read(vendor, name):
    headers, body = recorded(vendor, name)
    how = SCHEMES[vendor]
    assert how.verify(headers, body, SECRET, NOW)
    return how.parse(how.event(headers), headers, body)


ALL = sorted((folder.name, file.stem) for folder in PAYLOADS.iterdir() for file in folder.iterdir())


@pytest.mark.parametrize(("vendor", "name"), ALL)
def test_every_recorded_delivery_has_an_id_and_an_event_and_is_understood(vendor, name):
    headers, _body = recorded(vendor, name)
    assert len(SCHEMES[vendor].delivery(headers)) == 36
    assert SCHEMES[vendor].event(headers)
    said = read(vendor, name)
    if isinstance(said, Ignored):
        assert name in {"issues", "pull_labeled", "merge_request_approved", "pipeline"}
    elif not isinstance(said, Ping):
        assert said.project == ("choir/web/notes" if vendor == "gitlab" else "alice/notes")


@pytest.mark.parametrize("vendor", ["github", "gitlab", "gitea"])
def test_a_push_names_branch_commits_and_who(vendor):
    said = read(vendor, "push")
    assert isinstance(said, Pushed)
    assert (said.branch, said.tag, said.old, said.new, said.who) == ("main", "", FIRST, SECOND, "alice")


@pytest.mark.parametrize("vendor", ["github", "gitlab", "gitea"])
def test_a_new_branch_was_nowhere_before_and_a_deleted_one_is_nowhere_now(vendor):
    made, gone = read(vendor, "push_new_branch"), read(vendor, "push_deleted")
    assert isinstance(made, Pushed)
    assert isinstance(gone, Pushed)
    assert (made.old, made.new, gone.old, gone.new) == ("", SECOND, SECOND, "")
    assert made.branch == gone.branch != ""


@pytest.mark.parametrize("vendor", ["github", "gitlab", "gitea"])
def test_a_tag_is_no_branch(vendor):
    said = read(vendor, "push_tag")
    assert isinstance(said, Pushed)
    assert (said.branch, said.tag) == ("", "v1.0")


def test_a_forced_push_is_told_apart():
    assert read("github", "push_forced").forced
    assert not read("github", "push").forced


def test_what_gitea_tells_of_a_deleted_branch_without_a_push_is_understood():
    said = read("gitea", "delete")
    assert isinstance(said, Pushed)
    assert (said.branch, said.new) == ("new-menu", "")


OPENED = {"github": "pull_opened", "gitlab": "merge_request_opened", "gitea": "pull_opened"}
UPDATED = {"github": "pull_synchronize", "gitlab": "merge_request_updated", "gitea": "pull_synchronized"}
MERGED = {"github": "pull_merged", "gitlab": "merge_request_merged", "gitea": "pull_merged"}
FORKED = {"github": "pull_from_a_fork", "gitlab": "merge_request_from_a_fork", "gitea": "pull_from_a_fork"}


@pytest.mark.parametrize("vendor", OPENED)
def test_a_pull_request_is_opened_changed_and_merged(vendor):
    opened, updated, merged = (read(vendor, names[vendor]) for names in (OPENED, UPDATED, MERGED))
    assert [one.action for one in (opened, updated, merged)] == [PullAction.OPENED, PullAction.CHANGED, PullAction.CLOSED]
    assert [one.commit for one in (opened, updated)] == [SECOND, THIRD]
    assert (opened.branch, opened.title, opened.author) == ("new-menu", "Add the menu", "bob")
    assert [one.merged for one in (opened, updated, merged)] == [False, False, True]
    assert not opened.fork
    assert opened.at == 1_772_368_200.0
    assert opened.url.startswith("https://")


@pytest.mark.parametrize("vendor", FORKED)
def test_a_pull_request_from_a_fork_is_one(vendor):
    said = read(vendor, FORKED[vendor])
    assert isinstance(said, PullChanged)
    assert said.fork
    assert said.head_project == ("charlie/notes")


def test_a_pull_request_whose_fork_was_deleted_is_still_from_a_fork():
    said = read("github", "pull_whose_fork_is_gone")
    assert said.fork
    assert said.head_project == ""


def test_editing_the_title_of_a_closed_pull_request_does_not_open_it():
    assert read("github", "pull_edited_when_closed").action is PullAction.CLOSED


def test_closing_without_merging_is_told_apart():
    assert not read("github", "pull_closed").merged
    assert not read("gitlab", "merge_request_closed").merged


def test_a_ping_and_what_concerns_nobody_change_nothing():
    assert read("github", "ping") == Ping("alice/notes")
    assert "issues" in read("github", "issues").reason
    assert "labeled" in read("github", "pull_labeled").reason
    assert "approved" in read("gitlab", "merge_request_approved").reason


def test_github_may_send_its_json_in_a_form():
    from urllib.parse import urlencode

    inner = json.loads((PAYLOADS / "github" / "push.json").read_text())["body"]
    body = urlencode({"payload": json.dumps(inner)}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-github-event": "push"} | signature("github", body)
    assert GitHub().verify(headers, body, SECRET, NOW)
    assert GitHub().parse("push", headers, body).branch == "main"


def test_a_plain_server_needs_no_body():
    body = b""
    headers = signature("plain", body)
    assert Plain().verify(headers, body, SECRET, NOW)
    assert Plain().parse("push", headers, body) == Pushed("", "", "")
    assert Plain().parse("push", headers, b'{"ref": "refs/heads/main"}').branch == "main"
    assert isinstance(Plain().parse("push", headers, b'{"ref": "main"}'), Ignored)


@pytest.mark.parametrize("vendor", SCHEMES)
def test_a_wrong_missing_or_doubled_signature_is_refused(vendor):
    body = b'{"ref": "refs/heads/main"}'
    how, right = SCHEMES[vendor], signature(vendor, body)
    ((name, value),) = right.items()
    assert how.verify(right, body, SECRET, NOW)
    assert not how.verify({}, body, SECRET, NOW)
    assert not how.verify(signature(vendor, body, "another secret"), body, SECRET, NOW)
    assert not how.verify({name: f"{value},{value}"}, body, SECRET, NOW)
    assert not how.verify({name: value.upper()}, body, SECRET, NOW)
    assert not how.verify({name: f" {value}"}, body, SECRET, NOW)
    assert not how.verify({name: "é\udcff" * 40}, body, SECRET, NOW)
    assert not how.verify(signature(vendor, body, ""), body, "", NOW)


@pytest.mark.parametrize("vendor", ["github", "gitea", "plain"])
def test_a_signature_is_of_the_whole_body(vendor):
    body = b'{"ref": "refs/heads/main"}'
    assert not SCHEMES[vendor].verify(signature(vendor, body), body + b" ", SECRET, NOW)


def test_the_older_signature_of_github_is_not_believed():
    body = b"{}"
    made = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    assert not GitHub().verify({"x-hub-signature": f"sha1={made}"}, body, SECRET, NOW)
    assert not GitHub().verify({"x-hub-signature-256": f"sha1={made}"}, body, SECRET, NOW)


@pytest.mark.parametrize("later", [301, -301, 86_400])
def test_a_plain_signature_is_good_for_five_minutes(later):
    assert not Plain().verify(signature("plain", b""), b"", SECRET, NOW + later)


def test_forgejo_signs_under_its_own_name():
    headers, body = recorded("gitea", "push_of_forgejo")
    headers = {"x-forgejo-signature": headers.pop("x-gitea-signature"), **headers}
    assert "x-gitea-event" not in headers
    assert Gitea().verify(headers, body, SECRET, NOW)
    assert Gitea().parse(Gitea().event(headers), headers, body).branch == "main"


@pytest.mark.parametrize("value", ["short", "x" * 100, "with space", "new\nline", "../../etc", "é" * 20, ""])
def test_an_odd_delivery_id_is_none(value):
    assert GitHub().delivery({"x-github-delivery": value}) == ""


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"7",
    "not UTF-8": b'\xff\xfe{"ref": 1}',
    "UTF-16": '{"ref": "refs/heads/main"}'.encode("utf-16"),
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep list": b"[" * 100_000,
    "a huge number": b'{"number": ' + b"9" * 10_000 + b"}",
    "not a number": b'{"number": NaN, "ref": Infinity}',
    "doubled keys": b'{"ref": "refs/heads/main", "ref": {"a": 1}}',
    "half a character": b'{"ref": "refs/heads/\\ud800", "after": "\\ud800"}',
}


@pytest.mark.parametrize("vendor", SCHEMES)
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_hostile_bodies_are_ignored_in_words(vendor, name, kind):
    for event in ("push", "delete", "pull_request", "ping", "Push Hook", "Merge Request Hook", ""):
        said = SCHEMES[vendor].parse(event, {"content-type": kind}, HOSTILE[name])
        assert isinstance(said, Ignored | Ping) or said == Pushed("", "", "")


@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/",
        "refs/heads/../../x",
        "refs/heads/a..b",
        "refs/heads/-x",
        "refs/heads/a b",
        "refs/heads/a\x00b",
        "refs/heads/a~1",
        "refs/heads/a.lock",
        "refs/heads/.a",
        "refs/heads/a//b",
        "refs/heads/a\u202eb",
        "refs/heads/" + "x" * 300,
        "refs/sitewright/pushes/x",
        "refs/notes/x",
        "HEAD",
        "main",
        7,
        None,
        {"a": 1},
    ],
)
def test_a_reference_that_git_would_not_take_is_ignored(ref):
    body = json.dumps({"ref": ref, "before": FIRST, "after": SECOND}).encode()
    for vendor, event in (("github", "push"), ("gitea", "push"), ("gitlab", "Push Hook")):
        assert isinstance(SCHEMES[vendor].parse(event, {}, body), Ignored)


@pytest.mark.parametrize("commit", ["", "main", "1a" * 19, "1A" * 20, "--upload-pack=x", 5, None, ["1a" * 20]])
def test_a_commit_is_forty_digits_or_nothing(commit):
    body = json.dumps({"ref": "refs/heads/main", "before": FIRST, "after": commit}).encode()
    for vendor, event in (("github", "push"), ("gitea", "push"), ("gitlab", "Push Hook")):
        assert isinstance(SCHEMES[vendor].parse(event, {}, body), Ignored)


def test_what_strangers_write_steers_no_screen_and_leads_nowhere():
    found = json.loads((PAYLOADS / "github" / "pull_opened.json").read_text())["body"]
    found["pull_request"] |= {"title": "\x1b[2JHello\r\n\u202e" + "x" * 500, "html_url": "javascript:alert(1)"}
    said = GitHub().parse("pull_request", {}, json.dumps(found).encode())
    assert said.title.isprintable()
    assert len(said.title) <= 200
    assert said.url == ""


THERE = There("https://forge.example.org/api", "choir/web/notes", "a token that nobody sees")
NEWS = StatusNews(SECOND, "sitewright/production", "failure", "It " + "failed " * 40, "https://sitewright.example.org/operations/x/")


def test_a_status_is_told_in_each_vendors_words():
    assert json.loads(GitHub().status(THERE, NEWS).body)["state"] == "failure"
    assert json.loads(GitLab().status(THERE, NEWS).body) == {
        "state": "failed",
        "name": "sitewright/production",
        "target_url": NEWS.target,
        "description": NEWS.description[:140],
    }
    assert GitLab().status(THERE, NEWS).url == f"https://forge.example.org/api/projects/choir%2Fweb%2Fnotes/statuses/{SECOND}"
    assert Gitea().status(THERE, NEWS).url == f"https://forge.example.org/api/repos/choir/web/notes/statuses/{SECOND}"


def test_a_comment_is_made_once_and_changed_afterwards():
    for how, changing in ((GitHub(), "PATCH"), (Gitea(), "PATCH"), (GitLab(), "PUT")):
        assert how.comment(THERE, 7, "Hello").method == "POST"
        again = how.comment(THERE, 7, "Hello", "4711")
        assert again.method == changing
        assert again.url.endswith("/4711")
        assert how.comments(THERE, 7).method == "GET"


def test_a_web_hook_is_asked_for_with_its_secret_and_events():
    for how in (GitHub(), Gitea(), GitLab()):
        call = how.hook(THERE, "https://sitewright.example.org/hooks/x", SECRET)
        assert SECRET in call.body.decode()
        assert "https://sitewright.example.org/hooks/x" in call.body.decode()


def test_a_token_is_in_no_printed_form():
    assert THERE.token not in repr(THERE)
    assert THERE.token not in repr(GitHub().status(THERE, NEWS))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([FIRST, "0" * 40, "refs/heads/x", "closed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def _paths(found, path=()):
    yield path
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


RECORDED = {
    (vendor, name): json.loads((PAYLOADS / vendor / f"{name}.json").read_text())
    for vendor, name in ALL
    if name.startswith(("pu", "me", "de"))
}


@given(st.sampled_from(sorted(RECORDED)), st.data())
def test_a_recorded_payload_with_anything_in_it_is_read_or_ignored(which, data):
    """Whatever stands wherever: values come out with the types and lengths that the rest of the platform relies on."""
    vendor, _name = which
    found = json.loads(json.dumps(RECORDED[which]))
    body = found["body"]
    for _change in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(_paths(body), key=str)))
        if not path:
            continue
        place = body
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.draw(ANYTHING)
    headers = {key.lower(): value for key, value in found["headers"].items()}
    how = SCHEMES[vendor]
    said = how.parse(how.event(headers), headers, json.dumps(body).encode())
    if isinstance(said, Pushed):
        assert said.branch or said.tag
        assert {len(said.old), len(said.new)} <= {0, 40, 64}
    if isinstance(said, PullChanged):
        assert 0 < said.number < 2**31
        assert len(said.commit) in {40, 64}
        assert said.branch.isprintable()
        assert isinstance(said.fork, bool)
    if not isinstance(said, Ignored):
        texts = [value for value in (getattr(said, name) for name in said.__slots__) if isinstance(value, str)]
        assert all(text.isprintable() and len(text) <= 500 for text in texts)
        assert all(text.encode() is not None for text in texts)
