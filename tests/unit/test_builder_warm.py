"""Which start commands a warm parent can begin as well."""

from __future__ import annotations

import pytest

from sitewright.builder.packs.python.found import WebApp
from sitewright.builder.packs.python.warm import warm_arguments, warmed
from sitewright.domain.processes import Listen, ProcessSpec


def test_the_command_that_the_pack_makes_for_a_wsgi_app_can_be_begun_warm() -> None:
    process = warmed(WebApp("Flask", "wsgi", "app:app").process())
    assert process.warm[0] == "gunicorn"
    assert process.warm[-1] == "app:app"
    assert "*" in process.warm
    assert not any("LISTEN_PID" in word or word == "exec" for word in process.warm)


def test_the_command_that_the_pack_makes_for_an_asgi_app_can_be_begun_warm() -> None:
    process = warmed(WebApp("FastAPI", "asgi", "main:app").process())
    assert process.warm == ("uvicorn", "--fd", "3", "--proxy-headers", "--forwarded-allow-ips", "*", "main:app")


def test_an_app_that_starts_in_a_folder_of_its_own_is_begun_by_its_command() -> None:
    assert warmed(WebApp("Flask", "wsgi", "app:app", folder="backend").process()).warm == ()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exec env LISTEN_PID=$$ gunicorn -w 2 app:app", ("gunicorn", "-w", "2", "app:app")),
        ("gunicorn 'app:make()'", ("gunicorn", "app:make()")),
        ('gunicorn "app:make()"', ("gunicorn", "app:make()")),
        ("uvicorn main:app --fd 3", ("uvicorn", "main:app", "--fd", "3")),
        ("gunicorn app:app -w $WORKERS", ()),
        ('gunicorn app:app -w "$WORKERS"', ()),
        ("gunicorn app:app -w ${WEB_CONCURRENCY:-2}", ()),
        ("gunicorn app:app && true", ()),
        ("gunicorn app:app > log", ()),
        ("gunicorn app:app # comment", ()),
        ("gunicorn ~/app:app", ()),
        ("gunicorn app:ap?", ()),
        ("A=1 gunicorn app:app", ()),
        ("gunicorn app:app -k gevent", ()),
        ("gunicorn app:app -kgevent", ()),
        ("gunicorn app:app --worker-class=aiohttp.GunicornWebWorker", ()),
        ("gunicorn app:app --chdir src", ()),
        ("gunicorn app:app --chdir=src", ()),
        ("gunicorn -c conf.py app:app", ()),
        ("uvicorn main:app --app-dir src --fd 3", ()),
        ("python -m gunicorn app:app", ()),
        ("gunicorn 'unfinished", ()),
        ("", ()),
    ],
)
def test_only_plain_lines_of_known_servers_are_begun_warm(command: str, words: tuple[str, ...]) -> None:
    assert warm_arguments(command) == words


def test_what_does_not_take_the_inherited_socket_is_begun_by_its_command() -> None:
    assert warmed(ProcessSpec(type="web", command="gunicorn app:app", listen=Listen.PORT)).warm == ()
