"""Fixtures of the manager's tests: the cast, a stage, API clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from sitewright.config.settings import Settings
from sitewright.manager.accounts.models import User
from sitewright.manager.sites.models import Channel, Site
from sitewright.testing.cast import Cast, assemble
from sitewright.testing.channel_rows import TEMPLATE, done, row
from sitewright.testing.stage import Stage, on_stage

HOST = "sitewright.localhost"


class Api:
    """A person's API client: JSON in, (status, JSON) out."""

    def __init__(self, token: str | None) -> None:
        self.client = Client(headers={"Host": HOST})
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response; ``.json()`` reads it."""
        return self.client.generic(
            method,
            f"/api/v1{path}",
            data=body if isinstance(body, bytes) else b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}},
        )


@pytest.fixture(autouse=True)
def _platform(settings: Any, tmp_path: Path) -> None:
    # How often somebody tried to sign in is counted there.
    cache.clear()
    settings.PLATFORM = Settings(
        home=tmp_path / "home",
        run=tmp_path / "run",
        http_port=8000,
        domain="localhost",
        node="node1",
        database_url=settings.PLATFORM.database_url,
    )
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.PLATFORM.paths.uploads.mkdir(parents=True)


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
def api(cast: Cast) -> Callable[[User | None], Api]:
    """``api(cast.alice)("GET", "/sites")``."""
    return lambda user: Api(cast.token(user) if user else None)


@pytest.fixture
def guestbook(cast: Cast, stage: Stage, api: Callable[[User | None], Api]) -> Site:
    """A running site of Alice's team."""
    body = {"name": "guestbook", "team": "choir", "source": {"kind": "template", "name": "flask"}}
    response = api(cast.alice)("POST", "/sites", body)
    assert response.status_code == 202, response.content
    stage.play()
    return Site.objects.get(name="guestbook")


@pytest.fixture
def alice(cast: Cast, api: Callable[[User | None], Api]) -> Api:
    """An owner's client."""
    return api(cast.alice)


@pytest.fixture
def bob(cast: Cast, api: Callable[[User | None], Api]) -> Api:
    """A developer's client."""
    return api(cast.bob)


@pytest.fixture
def staging(stage: Stage, guestbook: Site, bob: Api) -> Channel:
    """A second channel of guestbook with a release of its own."""
    answer = bob("POST", "/sites/guestbook/channels", {"name": "staging", "branch": "staging"})
    assert answer.status_code == 202, answer.content
    assert done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE)).state == "succeeded"
    return row("staging")
