"""While the routing table is not whole yet, nobody is told that his site does not exist: the orchestrator is asked for its route first."""

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.route import Presence

from .conftest import answer
from .gate import Gate

HOST = "alice.example.test"


@pytest.fixture
def opening(router):
    """The table is not whole; a gate makes the route that it is given when it is asked for one, and wakes by its second route."""
    gates = []

    def start(*routes) -> Gate:
        router.settings.paths.routes_complete.unlink()
        channel = new_id()

        def make(asked: str, patience: str) -> int:
            if asked != HOST:
                return 404
            router.route(HOST, channel=channel, **routes[0 if patience == "route" else 1])
            return 204

        gates.append(Gate(router.settings.paths.wake_socket, make))
        return gates[-1]

    yield start
    for gate in gates:
        gate.__exit__()
    router.table.complete()
    for channel in router.table.channels():
        if HOST in router.table.hosts(channel):
            router.table.remove(channel)


@pytest.mark.parametrize(("path", "status", "text"), [("/", 200, "home"), ("/a.html", 200, "page"), ("/a", 200, "page"), ("/b", 404, "")])
@pytest.mark.parametrize("changeable", [False, True])
def test_a_static_site_is_served_by_the_request_that_asks_for_it_first(router, opening, path, status, text, changeable):
    gate = opening({"public": router.public("opening", index_html="home", a_html="page"), "changeable": changeable})
    shown = router.get(HOST, path)
    assert (shown.status, gate.asked) == (status, [(HOST, "route")])
    assert text in shown.text
    assert router.get(HOST).text == "home"
    assert len(gate.asked) == 1


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"x" * 300_000), ("PUT", b"small")])
@pytest.mark.parametrize("files", [False, True])
def test_a_sleeping_site_is_routed_and_then_woken(router, opening, method, body, files):
    app = router.app(lambda handler, body: answer(handler, body, headers={"X-Method": handler.command}))
    more = {"public": router.public("opened", other_css="css")} if files else {}
    gate = opening({"presence": Presence.ASLEEP, **more}, {"sockets": (app.socket,), **more})
    shown = router.request(method, HOST, "/form", body=body)
    assert (shown.status, shown.headers["X-Method"], shown.body) == (200, method, body or b"")
    assert gate.asked == [(HOST, "route"), (HOST, "client")]


def test_an_app_that_runs_is_asked_at_once(router, opening):
    opening({"sockets": (router.app(answer).socket,)})
    assert router.request("POST", HOST, "/form", body=b"words").text == "words"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_host_that_nobody_knows_is_unknown_then_too(router, opening, method):
    gate = opening({})
    assert router.request(method, "nobody.example.test", "/x.php").status == 404
    assert gate.asked == [("nobody.example.test", "route")]


@pytest.mark.parametrize(("presence", "status"), [(Presence.STARTING, 503), (Presence.STOPPED, 503), (Presence.CRASHED, 502)])
def test_the_page_of_a_site_that_cannot_answer_is_its_own(router, opening, presence, status):
    opening({"presence": presence})
    assert router.get(HOST).status == status


def test_a_node_that_is_not_there_yet_is_waited_for(router):
    router.settings.paths.routes_complete.unlink()
    try:
        assert router.get(HOST, Accept="text/html").status == 503
    finally:
        router.table.complete()
