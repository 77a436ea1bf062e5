"""Arguments of systemd-socket-proxyd, the relay between an instance's unix socket and the TCP port that its app listens on."""

from __future__ import annotations

CANDIDATES = ("/lib/systemd/systemd-socket-proxyd", "/usr/lib/systemd/systemd-socket-proxyd")
ENVIRONMENT = (("LISTEN_FDS", "1"), ("LISTEN_PID", "1"))
"""Socket activation (sd_listen_fds(3)): descriptor 3 is the listening socket; the relay is process 1 of its own namespace."""


def relay(program: str, port: int) -> tuple[str, ...]:
    """Pass connections on descriptor 3 to *port* of the network's own loopback."""
    return (program, "--connections-max=1024", f"127.0.0.1:{port}")
