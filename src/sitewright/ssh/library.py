"""asyncssh without what this door never does: security keys as a client, certificates. 4 MB less and half the time to start.

The library works without these packages and says so only when they are used.
"""

from __future__ import annotations

import sys

_hidden = [name for name in ("fido2", "pkcs11", "gssapi", "uvloop", "bcrypt", "nacl", "asyncssh.crypto.x509") if name not in sys.modules]
for _name in _hidden:
    sys.modules[_name] = None  # type: ignore[assignment]
try:
    import asyncssh
    from asyncssh import (
        ChannelOpenError,
        SSHKey,
        SSHServer,
        SSHServerChannel,
        SSHServerConnection,
        SSHServerSession,
        SSHTCPChannel,
        SSHTCPSession,
    )
    from asyncssh.constants import EXTENDED_DATA_STDERR, OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = [
    "EXTENDED_DATA_STDERR",
    "OPEN_ADMINISTRATIVELY_PROHIBITED",
    "OPEN_CONNECT_FAILED",
    "ChannelOpenError",
    "SSHKey",
    "SSHServer",
    "SSHServerChannel",
    "SSHServerConnection",
    "SSHServerSession",
    "SSHTCPChannel",
    "SSHTCPSession",
    "asyncssh",
]
