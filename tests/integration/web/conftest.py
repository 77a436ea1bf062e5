"""Fixtures of the pages' tests: the cast, a stage, a browser per person that speaks plain HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from sitewright.bus.messages import TemplateSource
from sitewright.config.settings import Settings
from sitewright.domain.states import Mode
from sitewright.manager.accounts.models import User
from sitewright.manager.sites.models import Site
from sitewright.manager.sites.services import NewSite, NewValue, change_env, create_site
from sitewright.testing.cast import Cast, assemble
from sitewright.testing.chromium import DESK, Chromium, chromium
from sitewright.testing.stage import Stage, on_stage

HOST = "sitewright.localhost"
Browse = Callable[[User | None], Client]
MakeSite = Callable[..., Site]


@pytest.fixture(autouse=True)
def _platform(settings: Any, tmp_path: Path) -> None:
    # How often somebody tried to sign in is counted there.
    cache.clear()
    given = {"http_port": 8000, "domain": "localhost", "node": "node1", "database_url": settings.PLATFORM.database_url}
    settings.PLATFORM = Settings(home=tmp_path / "home", run=tmp_path / "run", **given)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice, Bob, Vera, Charlie and Ada."""
    return assemble()


@pytest.fixture
def stage(db: None) -> Iterator[Stage]:
    """A manager and a fake node, driven by hand."""
    with on_stage() as made:
        yield made


@pytest.fixture
def browse() -> Browse:
    """``browse(cast.alice).get("/sites/")``; None is somebody who has not signed in."""

    def browser(user: User | None) -> Client:
        client = Client(headers={"Host": HOST})
        if user is not None:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return browser


@pytest.fixture
def make_site(cast: Cast, stage: Stage) -> MakeSite:
    """``make_site("guestbook")``: a site of Alice's team that runs."""

    def make(name: str, mode: Mode = Mode.RELEASED) -> Site:
        site, _ = create_site(cast.alice, NewSite(name, cast.choir, TemplateSource(name="guestbook"), mode))
        stage.play()
        return site

    return make


@pytest.fixture
def guestbook(cast: Cast, stage: Stage, make_site: MakeSite) -> Site:
    """A site that runs a release, with a plain and a secret variable."""
    site = make_site("guestbook")
    change_env(cast.alice, site, {"GREETING": NewValue("hello there"), "API_KEY": NewValue("tell-nobody", secret=True)}, [])
    stage.play()
    return site


@pytest.fixture
def poster(stage: Stage, make_site: MakeSite) -> Site:
    """A site that runs from its folder, with one file in it."""
    site = make_site("poster", Mode.LIVE)
    stage.node.files["index.html"] = b"<h1>Poster</h1>\n"
    return site


@pytest.fixture(scope="module")
def window() -> Iterator[Chromium]:
    """One browser for all tests of a module."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def signed_in(window: Chromium, cast: Cast, live_server: Any) -> Chromium:
    """The administrator's browser: she sees every page. The module's ``cast`` must be one that the server's threads see."""
    client = Client()
    client.force_login(cast.ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    window.open("about:blank")  # the page of the test before fetches pieces of itself, and each answer may set a cookie
    window.call("Network.clearBrowserCookies")
    window.cookie(live_server.url, "sitewright_session", client.cookies["sitewright_session"].value)
    window.complaints.clear()
    window.size(*DESK)
    return window
