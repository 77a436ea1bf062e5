"""Every template of the gallery becomes a site that answers, made as a newcomer makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

WORDS = {
    "static": "My site",
    "guestbook": "Guestbook",
    "django": "Notes",
    "fastapi": "My API",
    "express": "My Express site",
    "vite": "My Vite site",
    "php": "Guestbook",
    "notebook": "marimo",
    "wiki": "There is no such page yet.",
}
"""What each first page holds, whatever the case."""


@contextmanager
def made(platform: Platform, template: str) -> Iterator[VisitedSite]:
    name = f"made-{template}"
    platform.cli("sites", "create", name, "--template", template)
    yield platform.site(name)
    platform.cli("sites", "delete", name, "--confirm", name, "--no-wait")


def test_all_of_them_are_tried_here(platform: Platform) -> None:
    offered = json.loads(platform.cli("templates", "--json").stdout)
    assert {template["name"] for template in offered} == set(WORDS)


@pytest.mark.parametrize("template", [name for name in WORDS if name != "wiki"])
def test_it_answers(platform: Platform, template: str) -> None:
    with made(platform, template) as site:
        page = site.get("/")
        assert page.status_code == 200
        assert WORDS[template].lower() in page.text.lower()


def test_the_wiki_is_written_by_who_knows_the_password(platform: Platform) -> None:
    with made(platform, "wiki") as site:
        assert WORDS["wiki"] in site.get("/").text
        assert site.post("/?page=Garden", data={"text": "mine", "base": "0"}).status_code == 403
        assert "WIKI_PASSWORD" in site.get("/?page=Garden&edit").text
        platform.cli("env", "set", site.name, "WIKI_PASSWORD=roses", "--secret")
        assert site.post("/?page=Garden", data={"password": "wrong"}).status_code == 403
        with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", headers={"host": site.authority}, timeout=30) as alice:
            cookie = {"cookie": alice.post("/?page=Garden", data={"password": "roses"}).headers["set-cookie"].partition(";")[0]}
            assert "roses" not in cookie["cookie"]
            text = {"text": "Water [[Home]] <script>", "author": "Alice", "base": "0"}
            assert alice.post("/?page=Garden", data=text, headers=cookie).status_code == 303
            assert alice.post("/?page=Garden", data=text | {"text": "over it"}, headers=cookie).status_code == 409
        page = site.get("/?page=Garden").text
        assert 'Water <a href="/?page=Home">Home</a> &lt;script&gt;' in page
        assert "final class" not in site.get("/wiki/pages.php").text
