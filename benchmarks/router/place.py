"""Our router with 10,000 static and 10,000 dynamic sites, beside a bare nginx with the same files and the same app."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.servers import Server, free_port, running
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.route import ChannelRoute
from sitewright.router import RouteTable, launch
from sitewright.router.binary import find_nginx

FEW, MANY = 10, 10_000
BODY = "0123456789abcdef" * 64
STATIC, PROXIED = "s%d.bench.test", "d%d.bench.test"

APP = """daemon off; error_log stderr crit; pid FOLDER/app.pid; worker_processes 1; events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000; server { LISTEN default_type text/plain; location / { return 200 "BODY"; } } }
"""
BARE = """daemon off; error_log stderr crit; pid FOLDER/bare.pid; worker_processes 2; USER
events { worker_connections 4096; }
http {
  access_log FOLDER/bare.log combined buffer=64k flush=1s; sendfile on; tcp_nopush on; keepalive_requests 10000;
  upstream app { server unix:FOLDER/app0.sock; keepalive 64; }
  server { listen 127.0.0.1:PORT; root FOLDER/sites;
    location /app { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
"""


@dataclass
class Place:
    """Everything that stands while measuring."""

    folder: Path
    ours: Server
    bare: Server
    table: RouteTable
    sockets: tuple[Path, ...]
    """Of the app, which answers on each of them."""


@contextmanager
def prepared() -> Iterator[Place]:
    """Both routers and the app; no site yet."""
    folder = Path(tempfile.mkdtemp(prefix="swb"))
    folder.chmod(0o755)
    settings = Settings(home=folder / "home", run=None, http_port=free_port(), domain="bench.test")
    user = launch.router_config(settings).user
    nginx = str(find_nginx())
    bare_port = free_port()
    sockets = tuple(folder / f"app{number}.sock" for number in range(4))
    listen = " ".join(f"listen unix:{path};" for path in sockets)
    write(folder / "app.conf", APP, FOLDER=str(folder), LISTEN=listen, BODY=BODY)
    write(folder / "bare.conf", BARE, FOLDER=str(folder), PORT=str(bare_port), USER=f"user {user};" if user else "")
    launch.prepare_folders(settings)
    launch.write_config(settings)
    try:
        with (
            running([nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "app.conf")], path=sockets[-1]),
            running([nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "bare.conf")], bare_port) as bare,
            running(launch.nginx_argv(settings), settings.http_port) as ours,
        ):
            for path in sockets:
                path.chmod(0o666)
            yield Place(folder, ours, bare, RouteTable(settings.paths), sockets)
    finally:
        shutil.rmtree(settings.paths.run, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def write(path: Path, text: str, **values: str) -> None:
    """Write a configuration with its words in capitals replaced."""
    for name, value in values.items():
        text = text.replace(name, value)
    path.write_text(text)


def fill_sites(there: Place) -> float:
    """Make the sites; seconds a route change took, the median."""
    seconds = []
    for number in range(MANY):
        public = there.folder / "sites" / f"s{number}"
        public.mkdir(parents=True)
        (public / "index.html").write_text(BODY)
        for route in (
            ChannelRoute(new_id(), (STATIC % number,), public=public),
            ChannelRoute(new_id(), (PROXIED % number,), sockets=(there.sockets[number % len(there.sockets)],)),
        ):
            began = time.perf_counter()
            there.table.set(route)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
