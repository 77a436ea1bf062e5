"""Apps that listen on a TCP port of their own choice instead of $PORT: visitors are led to it.

Tutorials say ``app.listen(3000)`` or ``app.run(port=5000)``. The network is the instance's own, so there is no doubt whose port that is:
once exactly one port has been open for a moment, connections to $PORT are redirected to it inside that network.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sitewright.commands import network, nsenter
from sitewright.errors import SitewrightError
from sitewright.system.accounts import is_root
from sitewright.system.clock import Clock
from sitewright.system.processes import Runner, check

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""An app may open another port first; what has been the only one for that long is taken."""
_LISTENING = "0A"
_REACHABLE = frozenset({"00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F"})
"""0.0.0.0, 127.0.0.1, :: and ::ffff:127.0.0.1 as the kernel prints them on little-endian machines."""

Say = Callable[[str, str], None]
"""(instance id, text): a line among the app's own output."""


def open_ports(pid: int, proc: Path = Path("/proc")) -> frozenset[int]:
    """TCP ports on which something listens where the relay reaches it, in the network of *pid*."""
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / str(pid) / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] == _LISTENING and address in _REACHABLE:
                    found.add(int(number, 16))
    return frozenset(found)


@dataclass(slots=True)
class _Seen:
    ports: frozenset[int]
    since: float
    led_to: int = 0
    told: bool = False


class PortFollower:
    """Remembers, for each instance, which ports are open and where $PORT leads."""

    def __init__(self, runner: Runner, clock: Clock, say: Say) -> None:
        self._runner = runner
        self._clock = clock
        self._say = say
        self._seen: dict[str, _Seen] = {}

    async def reaches(self, instance_id: str, pid: int, port: int) -> bool:
        """Whether a connection to *port* in the network of *pid* reaches the app; leads it to the app's own port where that is clear."""
        ports = open_ports(pid) if pid else frozenset()
        seen = self._seen.get(instance_id)
        if port in ports:
            if seen is not None and seen.led_to:
                await self._redirect(pid, network.redirect_none())
                self._seen.pop(instance_id)
            return True
        now = self._clock.steady()
        if seen is None or seen.ports != ports:
            seen = self._seen[instance_id] = _Seen(ports, now, seen.led_to if seen else 0, seen is not None and seen.told)
        if not ports:
            return False
        if seen.led_to in ports:
            return True
        if now - seen.since < SETTLE_SECONDS:
            return False
        return await self._lead(instance_id, pid, port, seen)

    async def _lead(self, instance_id: str, pid: int, port: int, seen: _Seen) -> bool:
        """Redirect to the only open port; say it once."""
        listed = " and ".join(map(str, sorted(seen.ports)))
        if len(seen.ports) > 1 or not is_root() or not await self._redirect(pid, network.redirect(port, *seen.ports)):
            if not seen.told:
                self._say(instance_id, f"The app listens on port {listed}, not on $PORT ({port}). Let it listen on $PORT.")
            seen.told = True
            return False
        (seen.led_to,) = seen.ports
        self._say(instance_id, f"The app listens on port {listed}, not on $PORT ({port}). Visitors are led there.")
        return True

    async def _redirect(self, pid: int, rules: bytes) -> bool:
        try:
            await check(self._runner, nsenter.with_network_of(pid, network.nft_apply()), stdin=rules, timeout=10)
        except SitewrightError as error:
            log.warning("port_not_redirected", extra={"pid": pid, "error": str(error)})
            return False
        return True

    def forget(self, instance_id: str) -> bool:
        """An instance that is gone; whether $PORT led elsewhere in its network."""
        seen = self._seen.pop(instance_id, None)
        return seen is not None and seen.led_to > 0
