"""Signing in: passwords, tokens, one-time links."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from sitewright.errors import NotFoundError
from sitewright.manager.accounts import services
from sitewright.manager.accounts.models import ApiToken, SignInLink, User
from sitewright.manager.teams.models import Team
from sitewright.testing.cast import PASSWORD


def test_a_password_gives_a_token_that_works(cast, api):
    answer = api(None)("POST", "/auth/tokens", {"email": "Alice@Example.org", "password": PASSWORD, "label": "laptop"})
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()["email"] == "alice@example.org"


def test_a_wrong_password_and_an_unknown_person_are_told_the_same(cast, api):
    answers = [
        api(None)("POST", "/auth/tokens", {"email": email, "password": "wrong"}).json()
        for email in ("alice@example.org", "nobody@example.org")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["status"] == 401


def test_guessing_passwords_is_slowed_down(cast, api):
    statuses = [api(None)("POST", "/auth/tokens", {"email": "bob@example.org", "password": f"guess {n}"}).status_code for n in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_a_token_is_not_stored(cast):
    _, text = services.make_token(cast.alice, "x")
    assert text not in str(list(ApiToken.objects.values()))
    assert text.split("_", 2)[2] not in str(list(ApiToken.objects.values()))


@pytest.mark.parametrize("spoil", ["expired", "inactive", "changed", "shortened", "empty"])
def test_a_spoilt_token_does_not_work(cast, spoil):
    row, text = services.make_token(cast.alice, "x")
    if spoil == "expired":
        ApiToken.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    elif spoil == "inactive":
        User.objects.filter(pk=cast.alice.pk).update(is_active=False)
    text = {"changed": text[:-1] + ("a" if text[-1] != "a" else "b"), "shortened": text[:-1], "empty": "sw__"}.get(spoil, text)
    assert services.token_of(text) is None


def test_a_token_for_reading_changes_nothing(cast, api):
    _, text = services.make_token(cast.alice, "reader", scopes="read")
    client = Client(headers={"Authorization": f"Bearer {text}"})
    assert client.get("/api/v1/me").status_code == 200
    refused = client.post("/api/v1/me/tokens", {"label": "more"}, content_type="application/json")
    assert refused.status_code == 403
    assert refused.json()["title"] == "This token may only read."


def test_an_ended_token_stops_at_once(cast, api):
    text = cast.token(cast.alice)
    assert api(cast.alice)("DELETE", f"/me/tokens/{text.split('_')[1]}").status_code == 204
    assert services.token_of(text) is None


def test_a_session_needs_the_csrf_token_to_change_anything(cast):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get("/api/v1/me").status_code == 200
    refused = client.post("/api/v1/me/tokens", {"label": "x"}, content_type="application/json")
    assert refused.status_code == 403
    assert refused["Content-Type"] == "application/problem+json"


def test_opening_a_link_does_not_use_it_and_posting_does(cast):
    secret = services.make_link(cast.ada)
    path = services.link_path(secret)
    client = Client()
    assert client.get(path).status_code == 200
    assert client.get(path).status_code == 200
    assert services.peek_link(secret)
    assert client.post(path).status_code == 302
    assert client.get("/api/v1/me").json()["email"] == "ada@example.org"
    assert not services.peek_link(secret)
    assert Client().post(path).status_code in {404, 410}


def test_a_link_lets_in_one_of_two_who_press_at_once(cast):
    secret = services.make_link(cast.ada)
    assert services.use_link(secret) == cast.ada
    with pytest.raises(NotFoundError):
        services.use_link(secret)


def test_a_link_is_good_for_an_hour(cast):
    secret = services.make_link(cast.ada)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not services.peek_link(secret)
    with pytest.raises(NotFoundError):
        services.use_link(secret)


def test_the_first_administrator_is_made_once(db):
    first, second = services.ensure_admin("sitewright.localhost"), services.ensure_admin("sitewright.localhost")
    assert first == second
    assert first.email == "admin@sitewright.localhost"
    assert not first.has_usable_password()
    assert Team.objects.filter(personal_of=first).exists()


def test_sign_up_is_closed_unless_a_setting_opens_it(db, settings):
    form = {"email": "new@example.org", "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", form)
    assert not User.objects.filter(email="new@example.org").exists()
    settings.SIGN_UP_OPEN = True
    Client().post("/accounts/signup/", form)
    newcomer = User.objects.get(email="new@example.org")
    assert Team.objects.filter(personal_of=newcomer).exists()


def test_a_person_can_sign_in_with_a_password_on_the_page(cast):
    client = Client()
    answer = client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert answer.status_code == 302
    assert client.get("/api/v1/me").status_code == 200
    cookie = client.cookies["sitewright_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["domain"]
