"""The client's manners: problems become errors, pages one stream, events values."""

from __future__ import annotations

import pytest

from sitewright import errors
from sitewright.cli.client import Client, Event, parse_events, problem
from sitewright.cli.place import NotSignedInError, Place, connect_for, normal_url
from sitewright.testing.scripted_api import Asked, Reply, ScriptedApi

PLACE = Place("http://sites.example.org", "secret-token")


def answering(*answers: Reply) -> tuple[Client, list[Asked]]:
    left = list(answers)
    api = ScriptedApi(lambda _: left.pop(0))
    return Client(PLACE, api), api.asked


def test_the_token_goes_with_every_request() -> None:
    client, asked = answering(Reply.of({"email": "alice@example.org"}))
    assert client.get("/me") == {"email": "alice@example.org"}
    assert asked[0].headers["Authorization"] == "Bearer secret-token"
    assert asked[0].path == "/api/v1/me"


def test_a_listing_is_read_to_its_last_page() -> None:
    client, asked = answering(
        Reply.of({"items": [{"name": "a"}], "next": "2"}),
        Reply.of({"items": [{"name": "b"}], "next": None}),
    )
    assert [item["name"] for item in client.items("/sites", search="x")] == ["a", "b"]
    assert asked[1].query == {"cursor": "2", "search": "x"}


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (404, "not_found", errors.NotFoundError, 4),
        (403, "forbidden", errors.ForbiddenError, 5),
        (409, "conflict", errors.ConflictError, 6),
        (409, "illegal_transition", errors.ConflictError, 6),
        (403, "quota", errors.QuotaError, 7),
        (503, "unavailable", errors.UnavailableError, 8),
        (422, "", errors.InvalidValueError, 2),
        (401, "", NotSignedInError, 3),
        (500, "", errors.SitewrightError, 1),
    ],
)
def test_a_problem_becomes_the_error_with_its_exit_code(status: int, code: str, kind: type[errors.SitewrightError], exit_code: int) -> None:
    found = problem(status, b'{"title": "No.", "detail": "Why.", "resolution": "Do.", "code": "%s"}' % code.encode())
    assert type(found) is kind
    assert (found.message, found.details, found.resolution, found.exit_code) == ("No.", "Why.", "Do.", exit_code)


def test_an_answer_that_is_no_problem_document_is_an_error_all_the_same() -> None:
    assert "502" in problem(502, b"<html>Bad gateway</html>").message


def test_a_silent_platform_is_unavailable_with_advice() -> None:
    def refuse(_: Asked) -> Reply:
        raise ConnectionRefusedError

    with pytest.raises(errors.UnavailableError) as away:
        Client(PLACE, ScriptedApi(refuse)).get("/me")
    assert away.value.resolution


def test_another_program_at_the_address_is_told_from_the_platform() -> None:
    client, _ = answering(Reply(200, b"<html>hello</html>"))
    with pytest.raises(errors.UnavailableError, match="not Sitewright"):
        client.get("/me")


def test_events_are_cut_at_empty_lines_and_comments_are_skipped() -> None:
    lines = ["event: line", 'data: {"text": "one"}', "", ": keep alive", "id: 7", "event: end", "data: {}", "", "data: {half"]
    assert list(parse_events(lines)) == [Event("line", {"text": "one"}), Event("end", {}, "7")]


def test_localhost_names_are_this_machine_and_others_are_left_to_dns() -> None:
    assert connect_for("http://sitewright.localhost:8000") == "127.0.0.1:8000"
    assert connect_for("https://localhost") == "127.0.0.1:443"
    assert connect_for("https://sites.example.org") == ""
    assert connect_for("https://localhost.example.org") == ""


def test_an_address_is_stored_in_one_form() -> None:
    assert normal_url("Sites.Example.org:8000/") == "http://sites.example.org:8000"
    with pytest.raises(errors.InvalidValueError):
        normal_url("ftp://sites.example.org")
    with pytest.raises(errors.InvalidValueError):
        normal_url("http://alice:secret@sites.example.org")
