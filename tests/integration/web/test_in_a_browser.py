"""The pages in a real browser: nothing is refused or thrown, nothing is wider than a phone, and what moves by itself does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from sitewright.bus.messages import TemplateSource
from sitewright.domain.desired import ActualCron
from sitewright.domain.processes import ProcessSpec, Schedule
from sitewright.domain.states import BuildState, Mode
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.services import Way, deploy
from sitewright.testing.cast import Cast, assemble
from sitewright.testing.chromium import DESK, PHONE, Chromium
from sitewright.testing.fake_node import FLASK
from sitewright.testing.stage import Stage

LONG = "a-name-that-is-as-long-as-names-may-be-1"
PAGES = (
    "/sites/",
    "/sites/?q=nothing-like-it",
    "/new/",
    "/new/?from=git",
    "/accounts/",
    f"/sites/{LONG}/",
    f"/sites/{LONG}/timeline/",
    f"/sites/{LONG}/settings/",
    f"/sites/{LONG}/files/?file=index.html",
    "/platform/",
    "/platform/plans/",
    "/platform/plans/new/",
    "/sites/shop/",
    "/sites/shop/releases/",
    "/sites/shop/releases/1/",
    "/sites/shop/builds/",
    f"/sites/{LONG}/code/",
    f"/sites/{LONG}/channels/",
    f"/sites/{LONG}/previews/",
    f"/sites/{LONG}/connection/",
    "/sites/shop/deploy/",
    "/sites/shop/settings/",
    "/api/",
)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """As everywhere, but seen by the server's threads too."""
    return assemble()


def _full_of_life(cast: Cast, stage: Stage, site: Site) -> None:
    """A site with a release on trial and cron processes with long names, asleep."""
    jobs = ProcessSpec("cron-a-rather-long-1", "python -m app.jobs.send_all_the_newsletters", schedule=Schedule("*/15 8-18 * * mon-fri"))
    stage.node.behaviour.blueprint = replace(FLASK, processes=(*FLASK.processes, ProcessSpec("worker", "python work.py"), jobs))
    deploy(cast.alice, site, TemplateSource(name="flask"))
    stage.play()
    deploy(cast.alice, site, TemplateSource(name="flask"), way=Way(percent=10))
    stage.play()
    stage.node.behaviour.sleep = "frozen"
    stage.node.behaviour.crons = (ActualCron("cron-a-rather-long-1", 2e9, 1.7e9, 2.5, "failed: " + "exit code 1 " * 20),)
    stage.bus.run(stage.node.catch_up(Channel.objects.get(site=site).id), 5)
    stage.listen()


def test_no_page_complains_or_is_wider_than_a_phone_in_light_and_dark(
    signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any
):
    make_site(LONG, Mode.LIVE)
    _full_of_life(cast, stage, make_site("shop"))
    stage.node.files["index.html"] = b"<h1>" + b"wide " * 200 + b"</h1>"
    for dark in (False, True):
        signed_in.dark(dark)
        for size in (DESK, PHONE):
            signed_in.size(*size)
            for path in PAGES:
                signed_in.open(live_server.url + path)
                assert signed_in.run("document.documentElement.scrollWidth") <= size[0], (path, size)
    assert signed_in.complaints == []


def test_every_field_and_button_has_a_name(signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any):
    make_site(LONG, Mode.LIVE)
    nameless = """[...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a, summary")].filter(one =>
        !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label"))
    ).map(one => one.outerHTML)"""
    for path in PAGES:
        signed_in.open(live_server.url + path)
        assert signed_in.run(f"({nameless}).filter(one => !one.includes('value=\"yes\"'))") == [], path


def test_search_as_one_types_keeps_the_cursor_and_the_address(signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any):
    for name in ("guestbook", "poster"):
        make_site(name, Mode.LIVE)
    signed_in.open(f"{live_server.url}/sites/")
    signed_in.type("#search", "gue")
    signed_in.wait_for("document.querySelectorAll('.row-link').length === 1")
    assert signed_in.run("document.activeElement.id + location.search") == "search?q=gue"


def test_the_list_follows_a_site_that_stops(signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any):
    site = make_site("guestbook")
    signed_in.open(f"{live_server.url}/sites/")
    signed_in.wait_for("document.querySelector('#sites').innerText.includes('running')")
    site.channels.update(power="off")
    signed_in.wait_for("document.querySelector('#sites').innerText.includes('stopped')")


def test_stopping_asks_first_and_escape_means_no(signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any):
    make_site("guestbook")
    signed_in.open(f"{live_server.url}/sites/guestbook/")
    signed_in.click("#stop")
    signed_in.wait_for("document.querySelector('dialog').open")
    signed_in.press("Escape")
    signed_in.wait_for("!document.querySelector('dialog').open")
    assert not cast.choir.operations.filter(kind="stop").exists()
    signed_in.click("#stop")
    signed_in.click("dialog[data-ask] [value=yes]")
    signed_in.wait_for("document.querySelector('.steps')")
    assert cast.choir.operations.filter(kind="stop").exists()


def test_a_name_is_judged_while_it_is_typed(signed_in: Chromium, live_server: Any):
    signed_in.open(f"{live_server.url}/new/")
    signed_in.type("#id_name", "admin")
    signed_in.wait_for("document.querySelector('#name-check').innerText.includes('is reserved')")


def test_the_keyboard_comes_first_to_the_link_past_the_head(signed_in: Chromium, live_server: Any):
    signed_in.open(f"{live_server.url}/sites/")
    signed_in.press("Tab")
    assert signed_in.run("document.activeElement.className") == "skip"


def test_the_log_of_a_build_comes_onto_a_page_that_was_opened_before_there_was_one(
    signed_in: Chromium, cast: Cast, stage: Stage, make_site, live_server: Any
):
    make_site("guestbook")
    stage.node.behaviour.build = BuildState.RUNNING
    client = Client()
    client.force_login(cast.ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    client.post("/sites/guestbook/deploy/", {"source": "git", "git_url": "https://git.example.org/a.git"})
    operation = Operation.objects.get(kind="deploy")
    signed_in.open(f"{live_server.url}/operations/{operation.id}/")
    assert signed_in.run("document.querySelector('.log') === null")
    signed_in.wait_for("performance.getEntriesByType('resource').filter(one => one.name.includes('/operations/')).length > 2")
    stage.turn()
    signed_in.wait_for("document.querySelector('.log[data-live]').innerText.includes('Hello from the log')")
    # This test's server speaks WSGI and cannot stream; streams are tried over ASGI in tests/integration/manager.
    assert [complaint for complaint in signed_in.complaints if "/log/stream/" not in complaint] == []
