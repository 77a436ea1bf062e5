"""Every way in, as somebody with a browser takes it: a key, a push, channels, releases, edits, previews, builds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sitewright.domain.git import BRANCHES
from sitewright.domain.states import BuildState, Mode
from sitewright.manager.accounts.models import SshKey
from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations import claims
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.repositories.models import Connection, PullRequest
from sitewright.manager.sites.models import Channel
from sitewright.testing.cast import Cast, assemble
from sitewright.testing.chromium import PHONE, Chromium
from sitewright.testing.stage import Stage

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAeKVDMSPJDYPPO6x4X1LxHhiC8cGZBmnpGbRV5cdMpc alice@laptop"
STREAM = """
class Spoken extends EventTarget {
  constructor() {
    super();
    const tell = (name, data) => this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data) }));
    setTimeout(() => {
      tell("open");
      tell("line", { at: 1.8e9, source: "build", text: "\\u001b[1;32mgreen\\u001b[0m <b>words</b>" });
      tell("end", {});
    }, 50);
  }
  close() {}
}
window.EventSource = Spoken;
"""
"""A stream for pages: the server of these tests speaks WSGI, which cannot stream."""


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """As everywhere, but seen by the server's threads too."""
    return assemble()


@pytest.fixture
def ada(signed_in: Chromium, live_server: Any, stage: Stage) -> Chromium:
    """Her browser; ``ada.go("/sites/")``."""
    signed_in.go = lambda path: signed_in.open(live_server.url + path)  # type: ignore[attr-defined]
    return signed_in


def shows(browser: Any, text: str) -> None:
    """Wait until the page says it."""
    browser.wait_for(f"document.body.innerText.includes({json.dumps(text)})")


def choose(browser: Any, selector: str, value: str) -> None:
    """Choose one of a list."""
    browser.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")


def pushed(stage: Stage, branch: str = "main", subject: str = "The first") -> str:
    """A commit in the repository, and a branch that leads to it."""
    commit = stage.node.repository.commit(subject)
    stage.node.repository.refs[BRANCHES + branch] = commit
    return commit


def test_a_key_is_added_from_the_page_that_says_how_to_push(ada: Any, make_site):
    make_site("guestbook")
    ada.go("/sites/guestbook/code/")
    shows(ada, "Add your key first")
    ada.click("#add-key")
    ada.wait_for("location.hash === '#keys'")
    ada.type("#public_key", "-----BEGIN OPENSSH PRIVATE KEY-----")
    ada.click("#add-key")
    shows(ada, "That is the secret half of a key")
    assert ada.run("document.querySelector('#public_key').value") == ""
    ada.type("#public_key", KEY)
    ada.click("#add-key")
    shows(ada, "The key “alice@laptop” is added")
    key = SshKey.objects.get()
    shows(ada, key.fingerprint)
    ada.go("/sites/guestbook/code/")
    assert "Add your key first" not in ada.run("document.body.innerText")
    ada.go("/accounts/")
    ada.click(f"#remove-key-{key.id}")
    ada.click("dialog[data-ask] [value=yes]")
    shows(ada, "is removed")
    assert not SshKey.objects.exists()


def test_a_site_without_code_says_which_commands_bring_it(ada: Any, cast: Cast):
    ada.go("/new/?from=push")
    ada.type("#id_name", "notes")
    choose(ada, "#id_team", "choir")
    ada.click("form.create .button-main")
    ada.wait_for("location.pathname === '/sites/notes/code/'")
    shows(ada, "git push sitewright HEAD:main")
    shows(ada, "git remote add sitewright")


def test_a_channel_is_made_switched_to_and_removed(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    pushed(stage, "staging")
    ada.go("/sites/guestbook/channels/")
    ada.type("#id_channel", "staging")
    ada.type("#id_branch", "staging")
    ada.click("#new-channel .button-main")
    ada.wait_for("location.search === '?channel=staging'")
    shows(ada, "The channel “staging” is there")
    stage.play()
    ada.go("/sites/guestbook/releases/?channel=staging")
    ada.click("#channel-menu summary")
    ada.click("#go-production")
    ada.wait_for("location.pathname === '/sites/guestbook/releases/' && !location.search")
    ada.go("/sites/guestbook/channels/")
    ada.click("#channel-staging summary")
    ada.type("#confirm-staging", "stagin")
    ada.click("#remove-staging")
    shows(ada, "The channel was not removed")
    ada.click("#channel-staging summary")
    ada.type("#confirm-staging", "staging")
    ada.click("#remove-staging")
    ada.wait_for("location.pathname.startsWith('/operations/')")
    stage.play()
    assert [one.name for one in Channel.objects.filter(site__name="guestbook")] == ["production"]


def _staging(ada: Any, stage: Stage) -> None:
    """A channel with a release of its own."""
    pushed(stage, "staging", "A better menu")
    ada.go("/sites/guestbook/channels/")
    ada.type("#id_channel", "staging")
    ada.type("#id_branch", "staging")
    ada.click("#new-channel .button-main")
    ada.wait_for("location.search === '?channel=staging'")
    stage.play()


def test_a_release_is_promoted_in_a_dialog_and_rolled_back_with_a_reason(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    _staging(ada, stage)
    ada.go("/sites/guestbook/releases/?channel=staging")
    shows(ada, "A better menu")
    ada.click("#promote-1")
    ada.wait_for("document.querySelector('#promote-dialog').open")
    assert ada.run("document.querySelector('#promote-dialog [name=release]').value") == "1"
    ada.type("#promote-why", "Everybody liked it")
    ada.click("#promote-go")
    ada.wait_for("location.pathname === '/sites/guestbook/' && !location.search")
    stage.play()
    channel = Channel.objects.get(site__name="guestbook", name="production")
    assert channel.release is not None
    assert channel.release.number == 2
    ada.go("/sites/guestbook/releases/")
    shows(ada, "from release 1 of “staging”")
    ada.click("#roll-back-1")
    ada.wait_for("document.querySelector('dialog[data-ask]').open")
    ada.type("#ask-why", "Too loud")
    ada.click("dialog[data-ask] [value=yes]")
    ada.wait_for("location.pathname === '/sites/guestbook/'")
    stage.play()
    told = " ".join(TimelineEvent.objects.values_list("text", flat=True))
    assert "Everybody liked it." in told
    assert "Returned to release 1: Too loud." in told
    assert ada.complaints == []


def test_a_freeze_is_seen_and_ended(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    ada.go("/sites/guestbook/releases/")
    ada.run("document.querySelector('#id_until').value = '2426-01-01T00:00'")
    ada.type("#id_reason", "Exams")
    ada.click("#freeze .button")
    shows(ada, "A freeze ends in the future, within a year")
    row = Channel.objects.get(site__name="guestbook")
    tomorrow = claims.moment(stage.clock.now() + 86400)
    ada.run(f"document.querySelector('#id_until').value = '{tomorrow:%Y-%m-%dT%H:%M}'")
    ada.type("#id_reason", "Exams")
    ada.click("#freeze .button")
    ada.wait_for("document.querySelector('#frozen')")
    row.refresh_from_db()
    assert row.frozen_reason == "Exams"
    ada.click("#unfreeze")
    shows(ada, "can be deployed to again")


def test_a_configuration_is_checked_line_by_line_while_it_is_typed(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    ada.go("/sites/guestbook/code/")
    ada.click("#check summary")
    ada.type("#config-text", "[build]\ncomand = 'make'\n")
    shows(ada, "Line 2:")


def test_edits_are_published_with_a_message(ada: Any, stage: Stage, make_site):
    make_site("poster", Mode.LIVE)
    stage.node.repository.edits = (("M", "index.html"), ("A", "menu <b>.html"))
    ada.go("/sites/poster/code/")
    shows(ada, "menu <b>.html")
    ada.type("#message", "Correct the opening hours")
    ada.click("#publish")
    shows(ada, "The edits are being committed")
    stage.play()
    ada.go("/sites/poster/code/")
    shows(ada, "Correct the opening hours")
    shows(ada, "None: the folder is what was last published")


def test_a_preview_of_a_fork_waits_and_is_allowed(ada: Any, stage: Stage, make_site):
    site = make_site("guestbook")
    Connection.objects.create(site=site, url="https://git.example.org/alice/notes.git", hook_id="h" * 32, sealed_hook_secret="sealed")
    row = PullRequest.objects.create(
        site=site, number=7, title="<i>New</i> menu", branch="menu", head="1a" * 20, fork=True, author="mallory"
    )
    ada.go("/sites/guestbook/previews/")
    shows(ada, "<i>New</i> menu")
    shows(ada, "Nothing of this commit is built before somebody of the team allows it")
    ada.click(f"#allow-{row.id}")
    ada.click("dialog[data-ask] [value=yes]")
    ada.wait_for("location.pathname.startsWith('/operations/')")
    row.refresh_from_db()
    assert row.allowed_head == row.head
    assert Operation.objects.filter(kind="sync").exists()
    ada.go("/sites/guestbook/previews/")
    ada.run("document.querySelector('[name=makes][value=branches]').click()")
    ada.click("#save-previews")
    shows(ada, "It is settled")
    site.refresh_from_db()
    assert site.previews == "branches"


def test_the_log_of_a_build_comes_in_colours_and_is_only_text(ada: Any, cast: Cast, stage: Stage, make_site):
    make_site("guestbook")
    stage.node.behaviour.build = BuildState.RUNNING
    stage.node.behaviour.said = "\x1b[31mred\x1b[0m <script>alert(1)</script>"
    script = ada.call("Page.addScriptToEvaluateOnNewDocument", source=STREAM)["identifier"]
    build = Build.objects.get(release__number=1)
    ada.go(f"/sites/guestbook/builds/{build.id}/")
    ada.wait_for("document.querySelector('.log .ansi-1').textContent === 'red'")
    ada.wait_for("document.querySelector('.log .ansi-2.ansi-bold').textContent === 'green'")
    assert ada.run("document.querySelectorAll('.log script, .log b').length") == 0
    shows(ada, "flask")
    ada.type("#log-search", "nothing like it")
    ada.press("Enter")
    ada.run("document.querySelector('#log-search').form.requestSubmit()")
    shows(ada, "No line has these words")
    ada.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_the_caches_are_shown_and_emptied(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    ada.go("/sites/guestbook/builds/")
    shows(ada, "4 KB")
    ada.click("#clear-caches")
    ada.click("dialog[data-ask] [value=yes]")
    shows(ada, "The caches are empty")


def test_a_repository_is_connected_and_its_secret_shown_once(ada: Any, stage: Stage, make_site):
    make_site("guestbook")
    ada.go("/sites/guestbook/connection/")
    ada.type("#id_url", "not an address")
    ada.click("#connect")
    ada.wait_for("document.querySelector('.notice-bad')")
    assert ada.run("document.querySelector('#id_url').value") == "not an address"
    ada.run("document.querySelector('#id_url').value = ''")
    ada.type("#id_url", "ssh://git@git.example.org/alice/notes.git")
    ada.click("#connect")
    ada.wait_for("document.querySelector('#secret')")
    secret = ada.run("document.querySelector('#secret').textContent")
    shows(ada, "ssh-ed25519 ")
    ada.go("/sites/guestbook/connection/")
    shows(ada, "git.example.org/alice/notes.git")
    assert secret not in ada.run("document.body.innerHTML")
    assert "/hooks/" in ada.run("document.querySelector('#hook-url').textContent")


def test_no_new_page_is_wider_than_a_phone_when_it_is_full(ada: Any, stage: Stage, make_site):
    site = make_site("guestbook")
    long = "x" * 180
    pushed(stage, f"alice/{long[:90]}", long)
    Release.objects.update(subject=long, author=f"{long} <a@b>", changes={"commits": 1, "files": 3, "added": 10, "removed": 2})
    Connection.objects.create(
        site=site, url=f"https://git.example.org/{long}.git", hook_id="h" * 32, sealed_hook_secret="sealed", problem=long
    )
    PullRequest.objects.create(site=site, number=7, title=long, branch=long, head="1a" * 20, fork=True, author=long[:90])
    ada.size(*PHONE)
    for path in ("", "releases/", "releases/1/", "channels/", "code/", "connection/", "previews/", "builds/"):
        ada.go(f"/sites/guestbook/{path}")
        assert ada.run("document.documentElement.scrollWidth") <= PHONE[0], path
    assert ada.complaints == []
