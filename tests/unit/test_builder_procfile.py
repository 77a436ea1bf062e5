"""Reading a Procfile."""

from __future__ import annotations

import pytest

from sitewright.builder.procfile import parse_procfile, web_process
from sitewright.domain.processes import Listen
from sitewright.errors import BuildError


def test_lines_become_process_types_in_order() -> None:
    text = "# how it runs\nweb: gunicorn app:app --bind fd://3\r\n\nworker:  python worker.py  \nrelease: python manage.py migrate\n"
    assert [(spec.type, spec.command) for spec in parse_procfile(text)] == [
        ("web", "gunicorn app:app --bind fd://3"),
        ("worker", "python worker.py"),
        ("release", "python manage.py migrate"),
    ]


@pytest.mark.parametrize(
    ("command", "listen", "runs"),
    [
        ("gunicorn app:app --bind fd://3", Listen.FD, ""),
        ("uvicorn main:app --fd 3", Listen.FD, ""),
        ("uvicorn main:app --fd=3", Listen.FD, ""),
        ("node server.js --socket $SOCKET", Listen.SOCKET, ""),
        ("node server.js --socket ${SOCKET}", Listen.SOCKET, ""),
        ("gunicorn app:app", Listen.FD, "exec env LISTEN_PID=$$ gunicorn app:app"),
        ("gunicorn -w 2 'app:make()'", Listen.PORT, ""),
        ("gunicorn -w 2 app:app", Listen.FD, "exec env LISTEN_PID=$$ gunicorn -w 2 app:app"),
        ("python -m gunicorn app:app", Listen.FD, "exec env LISTEN_PID=$$ python -m gunicorn app:app"),
        ("uvicorn main:app", Listen.FD, "uvicorn main:app --fd 3"),
        ("uvicorn main:app --host 0.0.0.0 --port $PORT", Listen.PORT, ""),
        ("uvicorn main:app --reload", Listen.PORT, ""),
        ("gunicorn -b 0.0.0.0:$PORT app:app", Listen.PORT, ""),
        ("gunicorn -b0.0.0.0:8000 app:app", Listen.PORT, ""),
        ("gunicorn --bind=0.0.0.0:8000 app:app", Listen.PORT, ""),
        ("gunicorn -c conf.py app:app", Listen.PORT, ""),
        ("cd src && gunicorn app:app", Listen.PORT, ""),
        ("python app.py", Listen.PORT, ""),
        ("datasette serve . -p $PORT", Listen.PORT, ""),
        ("gunicorn 'unfinished", Listen.PORT, ""),
    ],
)
def test_how_a_web_process_is_reached_follows_from_its_command(command: str, listen: Listen, runs: str) -> None:
    spec = web_process(command)
    assert (spec.listen, spec.command) == (listen, runs or command)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web gunicorn app:app", "line 1"),
        ("web: a\nworker:\n", "line 2"),
        ("web: a\nweb: b\n", "twice"),
        ("web: a\nmy worker: b\n", "line 2"),
        ("web: " + "x" * 5000, "4000"),
    ],
)
def test_what_is_not_understood_names_the_line(text: str, words: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_procfile(text)
    assert words in str(caught.value)


def test_hundreds_of_process_types_are_refused() -> None:
    with pytest.raises(BuildError, match="20 is the most"):
        parse_procfile("\n".join(f"worker{number}: run" for number in range(30)))
