"""From inside a site: the internet and name resolution, and nobody else: not the host, not the bus, not another site, no private range."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.commands import network
from sitewright.domain.processes import Listen
from sitewright.engines.sandbox.network import host_egress
from sitewright.system.processes import SystemRunner, check
from sitewright.testing.engine_lab import LISTENS, get, says, until
from sitewright.testing.package_index import package_index_host
from sitewright.testing.sandbox_lab import SandboxLab

PROBE = """
import concurrent.futures, socket, sys

def answer(target):
    host, _, port = target.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(3)
        try:
            probe.connect((host, int(port)))
        except OSError:
            return "no"
        return "yes"

with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(*pool.map(answer, sys.argv[1:]))
"""


async def reach(lab: SandboxLab, *targets: str) -> list[str]:
    """From a job of site 1: "yes" or "no" for each host:port."""
    job = lab.job(f"python3 -c {shlex.quote(PROBE)} {shlex.join(targets)}", timeout=60)
    assert (await lab.engine.run(job)).exit.code == 0, lab.text(job.id)
    return lab.text(job.id).split()


def host_addresses() -> list[str]:
    """Every IPv4 address that this machine has."""
    entries = json.loads(subprocess.run(network.links(), capture_output=True, check=True).stdout)
    return [info["local"] for entry in entries for info in entry["addr_info"]]


async def test_the_hosts_services_are_out_of_reach_on_every_address(lab: SandboxLab) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        addresses = [*host_addresses(), "0.0.0.0", "localhost"]
        assert await reach(lab, *(f"{address}:{port}" for address in addresses)) == ["no"] * len(addresses)


async def test_the_hosts_abstract_sockets_are_out_of_reach(lab: SandboxLab) -> None:
    name = f"sitewright-isolation-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        script = f'import socket; socket.socket(socket.AF_UNIX).connect("\\0{name}")'
        job = lab.job(f"python3 -c {shlex.quote(script)}")
        assert (await lab.engine.run(job)).exit.code != 0
        assert "ConnectionRefused" in lab.text(job.id)


async def test_another_instance_is_out_of_reach_though_it_listens_everywhere(lab: SandboxLab) -> None:
    other = lab.instance(LISTENS[Listen.PORT] + " --bind 0.0.0.0", listen=Listen.PORT, site=2)
    await lab.engine.start(other)

    async def listens() -> bool:
        return await lab.engine.listening(other.id)

    await until(listens, "the other site listens")
    assert await asyncio.to_thread(get, other.socket) == 200
    found = await lab.engine.observe()
    (pid,) = [each.pid for each in found if each.spec.id == other.id]
    entries = json.loads(await check(SystemRunner(), ("nsenter", "--target", str(pid), "--net", *network.links())))
    addresses = [info["local"] for entry in entries for info in entry["addr_info"] if entry["ifname"] == "eth0"]
    assert addresses
    targets = [f"{address}:8000" for address in (*addresses, "127.0.0.1")]
    assert await reach(lab, *targets) == ["no"] * len(targets)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[fd00::2]", "[fe80::1]"]
)
async def test_private_ranges_are_out_of_reach(lab: SandboxLab, address: str) -> None:
    assert await reach(lab, f"{address.strip('[]')}:80") == ["no"]


async def test_a_private_resolver_answers_on_port_53_and_nowhere_else(lab: SandboxLab) -> None:
    (resolver, *_) = host_egress("").resolvers
    assert await reach(lab, f"{resolver}:53", f"{resolver}:80", f"{resolver}:22") == ["yes", "no", "no"]


async def test_names_resolve_and_the_package_index_can_be_reached(lab: SandboxLab) -> None:
    host = package_index_host()
    job = lab.job(f"getent ahostsv4 {shlex.quote(host)}")
    assert (await lab.engine.run(job)).exit.code == 0, lab.text(job.id)
    address = lab.text(job.id).split()[0]
    assert await reach(lab, f"{address}:443") == ["yes"]


async def test_a_box_without_network_has_none(lab: SandboxLab) -> None:
    job = lab.job("cat /proc/net/route; getent hosts example.org || echo none")
    await lab.engine.run(replace(job, box=replace(job.box, network=False)))
    lines = lab.text(job.id).splitlines()
    assert len(lines) == 2
    assert lines[-1] == "none"


async def test_a_symlink_in_place_of_the_apps_socket_leads_the_router_nowhere(lab: SandboxLab) -> None:
    with socket.socket(socket.AF_UNIX) as treasure:
        path = lab.settings.home / "manager.sock"
        treasure.bind(str(path))
        path.chmod(0o666)
        treasure.listen()
        spec = lab.instance(f"ln -s {path} $SOCKET; echo up; exec sleep 600", listen=Listen.SOCKET)
        await lab.engine.start(spec)
        await says(lab, spec.id, b"up")
        assert not await lab.engine.listening(spec.id)
        assert get(spec.socket) == 0


async def test_a_tenant_cannot_fill_the_run_folder(lab: SandboxLab) -> None:
    spec = lab.instance("dd if=/dev/zero of=/run/sitewright/big bs=1k count=1000; echo $?; exec sleep 600", listen=Listen.SOCKET)
    await lab.engine.start(spec)
    await says(lab, spec.id, b"No space left")


async def test_the_instances_socket_is_open_to_the_routers_group_only(lab: SandboxLab) -> None:
    for listen in (Listen.FD, Listen.SOCKET):
        spec = lab.instance(LISTENS[listen], listen=listen)
        await lab.engine.start(spec)

        async def listens(name: str = spec.id) -> bool:
            return await lab.engine.listening(name)

        await until(listens, "it listens")
        assert spec.socket.stat().st_mode & 0o777 == 0o660


FLOOD = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    for port in range(1, 6001):
        try:
            probe.sendto(b"x", ("192.0.2.1", port))
        except OSError:
            pass
"""


async def test_one_site_cannot_fill_the_machines_table_of_connections(lab: SandboxLab) -> None:
    kept = Path("/proc/sys/net/netfilter/nf_conntrack_count")
    before = int(kept.read_text())
    job = lab.job(f"python3 -c {shlex.quote(FLOOD)}", timeout=60)
    assert (await lab.engine.run(job)).exit.code == 0, lab.text(job.id)
    assert int(kept.read_text()) - before < network.CONNECTIONS + 500
