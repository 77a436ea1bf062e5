"""Private networks for sandboxes: made ahead of time, so that a start need not wait; taken back when a sandbox has ended.

A namespace is used again only after its last process is gone: what ran there had no capability over it and could change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import logging
import os
from pathlib import Path

from sitewright.commands import network as commands
from sitewright.commands.network import Egress, Link
from sitewright.engines.base import Capability
from sitewright.errors import EngineError, SitewrightError
from sitewright.system.processes import Runner, check

log = logging.getLogger(__name__)

READY = 3
"""Networks made ahead."""
KEPT = 16
"""Networks of ended sandboxes kept for the next ones; more are removed."""
_RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf")


def host_egress(extra: str) -> Egress:
    """The resolvers that this machine uses (the real ones behind a local stub) and the operator's exceptions.

    Raises EngineError that names the setting when an exception is not a network.
    """
    try:
        for path in _RESOLV_CONFS:
            with contextlib.suppress(OSError):
                egress = commands.egress_of(commands.nameservers(Path(path).read_text()), extra)
                if egress.resolvers:
                    return egress
        return commands.egress_of((), extra)
    except ValueError as error:
        raise EngineError(
            "SITEWRIGHT_EXTRA_EGRESS is not a list of IPv4 networks.",
            details=str(error),
            resolution="Write networks as 10.1.2.0/24, separated by commas.",
        ) from error


class NetworkPool:
    """Makes, lends and removes the private networks of one platform."""

    def __init__(self, tag: str, runner: Runner, egress: Egress) -> None:
        self.tag = tag
        self.egress = egress
        self.slice = commands.slice_of(tag)
        self._runner = runner
        self._mtu = 1500
        self._ready: list[Link] = []
        self._used: set[int] = set()
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    def link(self, index: int) -> Link:
        """The network of that number."""
        return Link(self.tag, self.slice, index)

    async def open(self, in_use: frozenset[int]) -> tuple[Capability, ...]:
        """Set the rules, remove what a dead engine left, keep the networks numbered *in_use*. Raises SitewrightError."""
        self._used = set(in_use)
        addresses = json.loads(await check(self._runner, commands.links()) or b"[]")
        self.slice = _free_slice(self.tag, addresses)
        self._mtu = await self._uplink_mtu(addresses)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        await check(self._runner, commands.nft_apply(), stdin=commands.ruleset(self.tag, self.slice, self.egress))
        await self._remove_leftovers(addresses)
        docker = await self._pass_docker()
        self._refill()
        dns = Capability("name resolution", ok=True)
        if not self.egress.resolvers:
            dns = Capability(
                "name resolution",
                ok=False,
                note="This machine's resolver listens on its own loopback only, which sites cannot reach.",
                resolution="Name a resolver that answers on the network in /etc/resolv.conf.",
            )
        return (Capability("network", ok=True, note="private network per instance, outbound internet only"), dns, *docker)

    async def _uplink_mtu(self, addresses: list[dict[str, object]]) -> int:
        routes = json.loads(await check(self._runner, commands.default_route()) or b"[]")
        uplink = routes[0].get("dev") if routes else None
        for entry in addresses:
            if entry.get("ifname") == uplink:
                return int(str(entry.get("mtu", 1500)))
        return 1500

    async def _remove_leftovers(self, addresses: list[dict[str, object]]) -> None:
        kept = {self.link(index).namespace for index in self._used}
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir("/run/netns"):
                if entry.name.startswith(f"sw-{self.tag}-") and entry.name not in kept:
                    await self._runner.run(commands.delete_namespace(entry.name))
        kept_interfaces = {self.link(index).interface for index in self._used}
        for address in addresses:
            name = str(address.get("ifname", ""))
            if name.startswith(commands.interface_prefix(self.tag)) and name not in kept_interfaces:
                await self._runner.run(commands.delete_interface(name))

    async def _pass_docker(self) -> tuple[Capability, ...]:
        """Where Docker drops what it does not know, ask it to let our interfaces through."""
        chain = await self._runner.run(commands.nft_chain("ip", "filter", "FORWARD"))
        if not chain.ok or b'"policy": "drop"' not in chain.output:
            return ()
        if commands.table_name(self.tag).encode() not in chain.output:
            added = await self._runner.run(commands.nft_apply(), stdin=commands.docker_accept(self.tag))
            if not added.ok:
                return (
                    Capability(
                        "network beside Docker",
                        ok=False,
                        note="The firewall's FORWARD policy is DROP and could not be passed: sites have no way out.",
                        resolution=f"Accept packets from and to interfaces {commands.interface_prefix(self.tag)}+ in the FORWARD chain.",
                    ),
                )
        return (Capability("network beside Docker", ok=True),)

    async def take(self) -> Link:
        """A network of one's own. Raises SitewrightError when none can be made."""
        link = self._ready.pop() if self._ready else await self._make()
        self._used.add(link.index)
        self._refill()
        return link

    async def give_back(self, index: int, *, as_new: bool = True) -> None:
        """Its sandbox has ended, every process of it. One that is not *as_new* (it may hold rules of its instance) goes to nobody else."""
        link = self.link(index)
        if as_new and len(self._ready) < KEPT and not self._closed and Path(link.path).exists():
            self._ready.append(link)
        else:
            await self._delete(link)  # its number is taken until it is gone: else a new one would be deleted in its place
        self._used.discard(index)

    async def _make(self) -> Link:
        taken = self._used | {link.index for link in self._ready}
        index = next((number for number in range(commands.NETWORKS_PER_PLATFORM) if number not in taken), None)
        if index is None:
            raise EngineError("All private networks of this node are in use.", resolution="Stop sites or add a node.")
        self._used.add(index)
        link = self.link(index)
        try:
            await check(self._runner, commands.ip_batch(), stdin=commands.make_link(link, self._mtu))
            await check(self._runner, commands.ip_batch(link.namespace), stdin=commands.make_inside(link))
        except BaseException:
            await self._delete(link)
            self._used.discard(index)
            raise
        return link

    async def _delete(self, link: Link) -> None:
        # The interface first: a namespace that a process still holds would keep its address pair.
        await self._runner.run(commands.delete_interface(link.interface))
        await self._runner.run(commands.delete_namespace(link.namespace))

    def _refill(self) -> None:
        if not self._closed and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._fill(), name="sandbox-networks")

    async def _fill(self) -> None:
        while len(self._ready) < READY and not self._closed:
            try:
                link = await self._make()
            except SitewrightError as error:
                log.warning("network_not_made", extra={"error": str(error)})
                return
            self._used.discard(link.index)
            self._ready.append(link)

    async def close(self) -> None:
        """Remove the networks that nobody uses; those in use stay, and so do the rules."""
        self._closed = True
        if self._filling is not None:
            await asyncio.wait({self._filling})
        while self._ready:
            await self._delete(self._ready.pop())

    async def dismantle(self) -> None:
        """Remove the rules too."""
        await self._runner.run(commands.nft_delete(self.tag))


def _free_slice(tag: str, addresses: list[dict[str, object]]) -> int:
    """The platform's own address slice, or the next one that no other platform's interface has an address of."""
    own, foreign = _addresses(tag, addresses)
    for address in own:
        # Networks in use were made in this slice; it stays, whoever else has come since.
        number = (int(ipaddress.IPv4Address(address)) - int(commands.slice_network(0)[0])) // commands.slice_network(0).num_addresses
        if 0 <= number < commands.SLICES:
            return number
    first = commands.slice_of(tag)
    for step in range(commands.SLICES):
        network = commands.slice_network(first + step)
        if not any(_inside(address, network) for address in foreign):
            return (first + step) % commands.SLICES
    raise EngineError("No private address range is free on this machine.", details=os.strerror(errno.EADDRINUSE))


def _addresses(tag: str, addresses: list[dict[str, object]]) -> tuple[list[str], list[str]]:
    own: list[str] = []
    foreign: list[str] = []
    for entry in addresses:
        mine = str(entry.get("ifname", "")).startswith(commands.interface_prefix(tag))
        info = entry.get("addr_info")
        if isinstance(info, list):
            (own if mine else foreign).extend(str(item.get("local", "")) for item in info)
    return own, foreign


def _inside(address: str, network: ipaddress.IPv4Network) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.IPv4Address(address) in network
    return False
