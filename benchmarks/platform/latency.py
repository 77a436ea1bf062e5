"""How much later an answer of a Flask site comes through the platform than from the same app behind a bare nginx."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.bare import copied_release, gunicorn
from benchmarks.platform.deploy import KINDS
from benchmarks.platform.stand import Stand
from benchmarks.rig.load import Load, one_host, start_load
from benchmarks.rig.servers import free_port, running
from sitewright.router.binary import find_nginx

ROUNDS = 5
SITE = KINDS[0].site
BARE = """daemon off; error_log stderr crit; pid {folder}/latency.pid; worker_processes 2; events {{ }}
http {{ access_log {folder}/latency.log combined buffer=64k flush=1s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  upstream app {{ server unix:{socket}; }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; }} }} }}
"""


def latency_rows(there: Stand) -> list[Row]:
    """Medians of one visitor who asks again and again, in turns of a second."""
    release = copied_release(there, SITE, there.folder / "bare-flask")
    there.folder.chmod(0o755)
    socket, port, config = there.folder / "bare.sock", free_port(), there.folder / "latency.conf"
    config.write_text(BARE.format(folder=there.folder, socket=socket, port=port))
    argv, env = gunicorn(release, f"unix:{socket}")
    nginx = [str(find_nginx()), "-p", str(there.folder), "-e", "stderr", "-c", str(config)]
    with running(argv, path=socket, env=env):
        Path(socket).chmod(0o666)
        with running(nginx, port):
            ours, bare = [], []
            for _ in range(ROUNDS):
                bare.append(_median(start_load(port, "", seconds=1, connections=1)))
                ours.append(_median(start_load(there.port, one_host(there.host(SITE)), seconds=1, connections=1)))
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    return [
        Row("Flask site, time to answer, ratio", ratio, "×", peer="the app on the host behind bare nginx", peer_value=1.0),
        Row("Flask site, time to answer", statistics.median(ours) * 1000, "ms", peer="the same", peer_value=statistics.median(bare) * 1000),
    ]


def _median(load: Load) -> float:
    counted = load.end()
    assert counted.failed == 0, counted
    return counted.median_seconds
