"""nats-py without the HTTP client that it loads for websockets: 8 MB less in each process that speaks to the bus over TCP.

The library works without it (it says so when a websocket address is used); who needs the client for something else imports it as usual.
"""

from __future__ import annotations

import sys

_hidden = "aiohttp" not in sys.modules
if _hidden:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
try:
    import nats
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.errors import Error, NoRespondersError
finally:
    if _hidden:
        del sys.modules["aiohttp"]

__all__ = ["Client", "Error", "Msg", "NoRespondersError", "Subscription", "nats"]
