"""What others would use for the same 10,000 sites, at its best: Caddy with one rule, HAProxy with a map. Both from the distribution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import require
from benchmarks.rig.servers import Server, free_port, running
from benchmarks.router.place import MANY, PROXIED, Place, write

HAPROXY = """global
  nbthread 2
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:PORT
  use_backend %[req.hdr(host),lower,map(FOLDER/haproxy.map)]
BACKENDS
"""
BACKEND = """backend app{number}
  server one unix@{socket}
"""
CADDY = """{
  admin off
  auto_https off
  http_port PORT
  log default {
    level ERROR
  }
}
http://*.bench.test {
  bind 127.0.0.1
  root * FOLDER/sites/{labels.2}
  file_server
}
"""


@contextmanager
def haproxy(there: Place) -> Iterator[Server]:
    """HAProxy with a map of all dynamic sites."""
    program, port = require("haproxy", "haproxy"), free_port()
    lines = [f"{PROXIED % number} app{number % len(there.sockets)}" for number in range(MANY)]
    (there.folder / "haproxy.map").write_text("\n".join(lines) + "\n")
    backends = "".join(BACKEND.format(number=number, socket=socket) for number, socket in enumerate(there.sockets))
    write(there.folder / "haproxy.cfg", HAPROXY, PORT=str(port), FOLDER=str(there.folder), BACKENDS=backends)
    with running([program, "-q", "-db", "-f", str(there.folder / "haproxy.cfg")], port) as server:
        yield server


@contextmanager
def caddy(there: Place) -> Iterator[Server]:
    """Caddy with one rule for all static sites. With a block for each it needs half a minute to start and 5 ms of CPU a request."""
    program, port = require("caddy", "caddy"), free_port()
    write(there.folder / "Caddyfile", CADDY, PORT=str(port), FOLDER=str(there.folder))
    own = {"HOME": str(there.folder), "XDG_DATA_HOME": str(there.folder), "XDG_CONFIG_HOME": str(there.folder)}
    with running([program, "run", "--config", str(there.folder / "Caddyfile"), "--adapter", "caddyfile"], port, env=own) as server:
        yield server
