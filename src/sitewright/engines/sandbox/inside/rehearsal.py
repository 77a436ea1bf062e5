"""What every start of a known server does before it comes to the site's own code, done ahead with nothing of any site.

Code that has run once is quicker: lazy imports are done, caches filled, and in a copy its own pages of memory are there already. Nothing
here is needed: what fails, or is not imported, is left out. Stand-alone, see entering.py.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any

_USAGE, _PROGRAM = "%(prog)s [OPTIONS] [APP_MODULE]", "gunicorn"
_OPTIONS = ("--workers", "1", "--threads", "8", "--worker-class", "gthread", "--access-logfile", "-", "app:app")
_REQUEST = b"GET / HTTP/1.1\r\nHost: rehearsal\r\nUser-Agent: rehearsal\r\nAccept: */*\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
_kept: dict[str, Any] = {}
"""What a start can take over: gunicorn's option parser, and the module that it belongs to."""


def rehearse() -> None:
    """In the parent: all of it."""
    for needed, step in _STEPS:
        if needed in sys.modules:
            with contextlib.suppress(Exception):
                step(sys.modules[needed])


def rehearse_begin() -> None:
    """In a copy that waits for its sandbox: what the server does before it has a process for requests, for only that one profits."""
    config = sys.modules.get("gunicorn.config")
    if config is not None:
        with contextlib.suppress(Exception):
            _options(config)


def _options(config: Any) -> None:
    """gunicorn's parser has some ninety options; making it takes longer than all else that gunicorn does at its start."""
    if _kept.get("module") is not config:
        _kept.update(module=config, parser=config.Config(_USAGE, prog=_PROGRAM).parser())
    made = config.Config(_USAGE, prog=_PROGRAM)
    for words in (_OPTIONS, ()):
        for name, value in vars(_kept["parser"].parse_args(words)).items():
            if value is not None and name != "args":
                made.set(name, value)
    _kept["config"] = made


def _gunicorn_request(wsgi: Any) -> None:
    """One request and its answer, as a worker has them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(_REQUEST)
        made = _kept["config"]
        http = sys.modules["gunicorn.http"]
        request = next(http.get_parser(made, theirs, ("", 0)))
        response, _ = wsgi.create(request, theirs, ("", 0), ("127.0.0.1", 80), made)
        response.start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "1")])
        response.write(b"1")
        response.close()


def _flask_request(flask: Any) -> None:
    """An app of one page, and a visit."""
    app = flask.Flask("flask")
    app.add_url_rule("/", view_func=lambda: "1")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "rehearsal",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "rehearsal",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.input": None,
    }
    answer = app(environ, lambda _status, _headers, _error=None: None)
    b"".join(answer)
    answer.close()


_STEPS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("gunicorn.config", _options),
    ("flask", _flask_request),
    ("gunicorn.http.wsgi", _gunicorn_request),
)


def lend_parser() -> None:
    """Have gunicorn take over the parser once, if its module is still the one that the parser was made by."""
    config = sys.modules.get("gunicorn.config")
    if config is None or _kept.get("module") is not config:
        return
    kind, parser, own = config.Config, _kept["parser"], config.Config.parser

    def lent(self: Any) -> Any:
        kind.parser = own
        return parser if (self.usage, self.prog) == (_USAGE, _PROGRAM) else own(self)

    kind.parser = lent
    _kept.clear()
