"""Signing in, the link that works once, tokens, errors and the frame."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from django.test import Client

from sitewright.manager.accounts.services import link_path, make_link, token_of
from sitewright.testing.cast import PASSWORD, Cast


def test_one_signs_in_with_address_and_password_and_out_by_a_button(cast: Cast, browse):
    client = browse(None)
    assert "Sign in" in client.get("/accounts/login/").content.decode()
    wrong = client.post("/accounts/login/", {"login": "alice@example.org", "password": "wrong"})
    assert wrong.status_code == 200
    assert b"not correct" in wrong.content
    response = client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert response.status_code == 302
    assert client.get("/sites/").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/sites/").status_code == 302


def test_a_link_lets_in_once_and_opening_it_does_not_use_it(cast: Cast, browse):
    path = link_path(make_link(cast.alice))
    client = browse(None)
    for _ in range(2):
        assert client.get(path).status_code == 200
    assert client.post(path).status_code == 302
    assert client.get("/sites/").status_code == 200
    assert browse(None).get(path).status_code == 404
    assert browse(None).post(path).status_code == 404


def test_a_token_is_shown_once_and_can_be_revoked(cast: Cast, browse):
    client = browse(cast.alice)
    page = client.post("/accounts/tokens/", {"label": "laptop"}).content.decode()
    token = page.split('id="fresh-token">')[1].split("<")[0]
    assert token_of(token) is not None
    later = client.get("/accounts/").content.decode()
    assert "laptop" in later
    assert token not in later
    prefix = token.split("_")[1]
    assert browse(cast.charlie).post(f"/accounts/tokens/{prefix}/revoke/").status_code == 302
    assert token_of(token) is not None
    client.post(f"/accounts/tokens/{prefix}/revoke/")
    assert token_of(token) is None


@pytest.mark.parametrize("path", ["/accounts/password/change/", "/accounts/password/reset/", "/accounts/email/", "/accounts/logout/"])
def test_the_other_account_pages_are_ours_too(cast: Cast, browse, path: str):
    page = browse(cast.alice).get(path).content.decode()
    assert "sitewright.css" in page
    assert 'class="panel sign' in page


def test_sign_up_is_closed_in_words(db: None, browse):
    assert "made by an administrator" in browse(None).get("/accounts/signup/").content.decode()


def test_an_unknown_address_is_a_page_in_our_words(cast: Cast, browse):
    response = browse(cast.alice).get("/no/such/page")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_a_forged_request_is_told_in_our_words(cast: Cast):
    client = Client(headers={"Host": "sitewright.localhost"}, enforce_csrf_checks=True)
    response = client.post("/accounts/login/", {})
    assert response.status_code == 403
    assert "open too long" in response.content.decode()


def test_the_theme_is_the_person_s_choice_and_nothing_else_gets_into_the_page(db: None, browse):
    client = browse(None)
    assert "data-theme=" not in client.get("/accounts/login/").content.decode().split("<head>")[0]
    client.cookies["theme"] = "dark"
    assert 'data-theme="dark"' in client.get("/accounts/login/").content.decode()
    client.cookies["theme"] = '"><script>'
    assert "<script>" not in client.get("/accounts/login/").content.decode()


def test_pages_hold_no_inline_script_or_style_and_no_address_of_others(cast: Cast, browse):
    for path in ("/sites/", "/new/", "/accounts/"):
        page = browse(cast.alice).get(path).content.decode()
        assert " style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        assert page.count("<script") == 1
        assert "//cdn" not in page


def test_the_first_page_is_small(db: None, browse):
    """150 KB compressed is the bar, everything counted."""
    client = browse(None)
    page = client.get("/accounts/login/").content
    total = len(gzip.compress(page))
    for name in ("sitewright.css", "sitewright.js", "icons.svg", "favicon.svg"):
        response = client.get(f"/static/sitewright/{name}", headers={"Accept-Encoding": "gzip"})
        assert response["Content-Encoding"] == "gzip"
        total += len(response.content)
    assert total < 150_000


def test_a_built_file_lives_long_only_under_its_fingerprint(db: None, browse):
    client = browse(None)
    page = client.get("/accounts/login/").content.decode()
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert "immutable" in client.get(address)["Cache-Control"]
    assert "immutable" not in client.get("/static/sitewright/sitewright.css?other")["Cache-Control"]
    assert client.get("/static/sitewright/..%2fsettings.py").status_code == 404


def test_every_icon_that_a_template_names_exists():
    manager = Path(__file__).parents[3] / "src/sitewright/manager"
    icons = {path.stem for path in (manager / "assets/icons").glob("*.svg")}
    named = set()
    for template in manager.glob("**/templates/**/*.html"):
        named |= {piece.split('"')[0] for piece in template.read_text().split('{% icon "')[1:]}
    assert named <= icons
