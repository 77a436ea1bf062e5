"""One network a tenant, made when first needed and removed with its last container; and where all of them may go."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sitewright.commands.docker_config import NETWORK_PLACES, PLATFORM_LABEL, UID_LABEL, network_body, network_name
from sitewright.commands.docker_egress import egress_rules, nft_argv, no_rules
from sitewright.commands.network import egress_of, links, nameservers
from sitewright.engines.docker.daemon import Daemon, DaemonError
from sitewright.errors import EngineError
from sitewright.system.processes import CommandFailedError, Runner, check

NO_NETWORK = "none"
TAKEN = ("overlap", "already exists", "conflicts with network", "in use")


def label_filter(*labels: str) -> dict[str, str]:
    """Query parameters that list only what has all of *labels*."""
    return {"filters": json.dumps({"label": list(labels)})}


class Networks:
    """The tenants' networks on one daemon."""

    def __init__(self, daemon: Daemon, tag: str) -> None:
        self._daemon = daemon
        self._tag = tag
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._kept: Counter[int] = Counter()

    @contextlib.asynccontextmanager
    async def of(self, uid: int) -> AsyncIterator[str]:
        """The name of *uid*'s network, which stays at least as long as the block; make the container inside it. Raises EngineError."""
        async with self._locks[uid]:
            name = network_name(self._tag, uid)
            if await self._daemon.find(f"networks/{name}") is None:
                await self._create(uid)
            yield name

    @contextlib.asynccontextmanager
    async def kept(self, uid: int) -> AsyncIterator[str]:
        """The same, and the network stays while the block runs, also when no container is on it. Raises EngineError."""
        self._kept[uid] += 1
        try:
            async with self.of(uid) as name:
                pass
            yield name
        finally:
            self._kept[uid] -= 1

    async def _create(self, uid: int) -> None:
        for offset in range(NETWORK_PLACES):
            place = (uid + offset) % NETWORK_PLACES
            try:
                await self._daemon.ask("POST", "networks/create", body=network_body(self._tag, uid, place))
                return
            except DaemonError as error:
                if not any(word in error.details.lower() for word in TAKEN):
                    raise
        raise EngineError("Every private network of this platform is in use.", resolution="Stop sites that are not needed.")

    async def release(self, uid: int) -> None:
        """Remove *uid*'s network when none of its containers is left."""
        async with self._locks[uid]:
            if self._kept[uid]:
                return
            query = {"all": "1", **label_filter(f"{PLATFORM_LABEL}={self._tag}", f"{UID_LABEL}={uid}")}
            if not await self._daemon.ask("GET", "containers/json", params=query):
                with contextlib.suppress(DaemonError):
                    await self._daemon.ask_leniently("DELETE", f"networks/{network_name(self._tag, uid)}")

    async def release_unused(self) -> None:
        """The same for all: what a process that has died left behind."""
        prefix = network_name(self._tag, 0)[:-1]
        for network in await self._daemon.ask("GET", "networks", params=label_filter(f"{PLATFORM_LABEL}={self._tag}")):
            uid = str(network["Name"]).removeprefix(prefix)
            if uid.isdigit():
                await self.release(int(uid))


async def close_private_ranges(runner: Runner, tag: str, namespace_pid: int, extra: str) -> None:
    """Put this platform's egress rules in place where the daemon's bridges are. Raises CommandFailedError."""
    listing: list[dict[str, Any]] = json.loads(await check(runner, links()))
    own = tuple(str(entry["local"]) for link in listing for entry in link["addr_info"])
    try:
        egress = egress_of(nameservers(Path("/etc/resolv.conf").read_text()), extra)
    except ValueError as error:
        raise CommandFailedError("An address in SITEWRIGHT_EXTRA_EGRESS is wrong.", details=str(error)) from error
    await check(runner, nft_argv(namespace_pid), stdin=egress_rules(tag, egress, own).encode())


async def forget_rules(runner: Runner, tag: str, namespace_pid: int) -> None:
    """Take this platform's rules away again. Raises CommandFailedError."""
    await check(runner, nft_argv(namespace_pid), stdin=no_rules(tag).encode())
