"""A neighbour at another name of the domain plants cookies for the domain: nobody is signed in by them, and they are deleted."""

from __future__ import annotations

from django.conf import settings
from django.test import Client


def signed_in(user):
    client = Client(headers={"Host": "sitewright.localhost"})
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def ask(cookie, path="/api/v1/me"):
    return Client().get(path, headers={"Host": "sitewright.localhost", "Cookie": cookie})


def test_a_session_planted_beside_ones_own_is_not_believed_and_is_deleted(cast):
    name = settings.SESSION_COOKIE_NAME
    alices, charlies = signed_in(cast.alice), signed_in(cast.charlie)
    assert ask(f"{name}={alices}").json()["email"] == cast.alice.email
    for cookie in (f"{name}={alices}; {name}={charlies}", f"{name}={charlies}; other=1; {name}={alices}"):
        response = ask(cookie)
        assert response.status_code == 401
        deleted = [morsel for morsel in response.cookies.values() if morsel.key == name]
        assert {morsel["path"] for morsel in deleted} == {"/", "/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/me", "/api/v1/me/"}
        assert {morsel["domain"] for morsel in deleted} == {"localhost"}
        assert all(str(morsel["max-age"]) == "0" for morsel in deleted)


def test_one_cookie_of_each_name_is_left_alone(cast):
    alices = signed_in(cast.alice)
    response = ask(f"{settings.SESSION_COOKIE_NAME}={alices}; {settings.CSRF_COOKIE_NAME}=x", "/api/v1/me")
    assert response.status_code == 200
    assert not any(morsel["domain"] for morsel in response.cookies.values())
