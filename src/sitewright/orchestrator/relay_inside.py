"""What carries one forwarded connection inside an instance: a stand-alone program, run there by the tenant's own user.

It connects to the port on loopback, of either family; when nobody listens there and it is the site's own $PORT, to the socket on which
visitors come in. 3 says that nobody took the connection.
"""

from __future__ import annotations

REFUSED = 3
RELAY = """
import os, selectors, socket, sys
port, own, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def connect():
    for family, where in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port)), (socket.AF_UNIX, path)):
        if family == socket.AF_UNIX and str(port) != own:
            continue
        try:
            there = socket.socket(family)
            there.connect(where)
            return there
        except OSError:
            pass
    sys.exit(3)
there = connect()
look = selectors.DefaultSelector()
look.register(0, selectors.EVENT_READ)
look.register(there, selectors.EVENT_READ)
while True:
    for key, _ in look.select():
        if key.fileobj == 0:
            data = os.read(0, 65536)
            if data:
                there.sendall(data)
            else:
                look.unregister(0)
                there.shutdown(socket.SHUT_WR)
        else:
            data = there.recv(65536)
            if not data:
                sys.exit(0)
            while data:
                data = data[os.write(1, data):]
"""


def relay_argv(port: int, own_port: int, socket_path: str) -> tuple[str, ...]:
    """How to run it."""
    return ("/usr/bin/python3", "-I", "-S", "-c", RELAY, str(port), str(own_port), socket_path)
