"""Who may open a terminal, and from where."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from sitewright.manager.api.sockets import sockets

PEOPLE = ("nobody", "charlie", "vera", "bob", "alice")


def visit(user):
    """Their browser."""
    client = Client(headers={"Host": "sitewright.localhost"})
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def one_connection(monkeypatch):
    """The database's: a socket that ends closes old ones, and here that would be the test's own."""

    async def keep():
        return None

    monkeypatch.setattr("channels.consumer.aclose_old_connections", keep)
    monkeypatch.setattr("channels.generic.websocket.aclose_old_connections", keep)


def opened(query, headers):
    """What the manager says to whoever opens a terminal of guestbook: 0 for welcome, else the code of the refusal."""

    async def talk():
        scope = {
            "type": "websocket",
            "path": "/api/v1/sites/guestbook/exec",
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        manager = ApplicationCommunicator(sockets, scope)
        await manager.send_input({"type": "websocket.connect"})
        answer = await manager.receive_output(10)
        await manager.send_input({"type": "websocket.disconnect", "code": 1000})
        await manager.wait(10)
        return answer.get("code", 0)

    return async_to_sync(talk)()


@pytest.mark.parametrize("query", ["", "process=web", "one_off=1", "one_off=true&process=worker"])
def test_a_terminal_is_for_developers_whatever_box_it_asks_for(cast, stage, guestbook, one_connection, query):
    got = []
    for name in PEOPLE:
        person = getattr(cast, name, None)
        got.append(opened(query, [(b"authorization", f"Bearer {cast.token(person)}".encode())] if person else []))
    assert got == [4401, 4403, 4403, 0, 0]


@pytest.mark.parametrize(("origin", "code"), [("http://evil.example.org", 4401), ("null", 4401), ("", 4401), ("http://{own}", 0)])
def test_a_browsers_terminal_is_opened_by_a_page_of_ours(cast, stage, guestbook, one_connection, origin, code):
    own = "sitewright.localhost"
    cookie = f"{settings.SESSION_COOKIE_NAME}={visit(cast.alice).cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = {"cookie": cookie, "host": own, "origin": origin.format(own=own)}
    assert opened("one_off=1", [(name.encode(), value.encode()) for name, value in headers.items()]) == code
