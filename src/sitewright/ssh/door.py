"""The door as a whole: a listening socket, the bus, and nothing that lasts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass, field
from typing import Any

from sitewright.bus.base import Bus
from sitewright.config.settings import Settings
from sitewright.ssh.asking import Manager
from sitewright.ssh.host_keys import host_keys
from sitewright.ssh.library import SSHServerConnection, asyncssh
from sitewright.ssh.limits import SIGN_IN_SECONDS, Limits
from sitewright.ssh.server import DoorServer
from sitewright.ssh.visitor import Visitor, greeting

log = logging.getLogger(__name__)

KEYS_PATH = "/accounts/"
VERSION = "Sitewright"
"""All that the door says of itself."""
KEX = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
SIGNATURES = (
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-256,rsa-sha2-512"
)
KEEPALIVE_SECONDS = 30
LEAVE_SECONDS = 10.0
"""How long what is under way may take when the door is replaced or ended."""
BACKLOG = 256


@dataclass(slots=True)
class Door:
    """Lets people in for as long as it is open."""

    settings: Settings
    bus: Bus
    limits: Limits = field(default_factory=Limits)
    _acceptor: Any = None
    _open: set[SSHServerConnection] = field(default_factory=set)

    async def open(self, listener: socket.socket) -> None:
        """Answer on *listener*."""
        self._acceptor = await asyncssh.create_server(
            self._server,
            sock=listener,
            backlog=BACKLOG,
            server_host_keys=host_keys(self.settings.paths),
            server_version=VERSION,
            login_timeout=SIGN_IN_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=4,
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=SIGNATURES,
            compression_algs="none",
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            line_editor=False,
            config=None,
        )

    def _server(self) -> DoorServer:
        keys_page = self.settings.url(self.settings.manager_host) + KEYS_PATH
        words = greeting(self.settings.ssh_host, self.settings.ssh_port)
        visitor = Visitor(self.bus, Manager(self.bus), greeting=words, leave=self._open.discard)
        return DoorServer(visitor, self.limits, keys_page, self._open.add)

    async def close(self, seconds: float = LEAVE_SECONDS) -> None:
        """Let nobody in any more; what is under way may end within *seconds*."""
        if self._acceptor is not None:
            self._acceptor.close()
        deadline = asyncio.get_running_loop().time() + seconds
        while self._open and asyncio.get_running_loop().time() < deadline:
            waiting = [asyncio.ensure_future(connection.wait_closed()) for connection in self._open]
            await asyncio.wait(waiting, timeout=max(deadline - asyncio.get_running_loop().time(), 0.0))
            for one in waiting:
                one.cancel()
        for connection in list(self._open):
            with contextlib.suppress(Exception):
                connection.disconnect(11, "The platform is being restarted; connect again.")
