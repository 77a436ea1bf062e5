"""Argument lists and rules of the sandbox, compared whole; the filter is run through a small interpreter."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from sitewright.commands import bwrap, network, nsenter, relay
from sitewright.commands.network import Egress, Link
from sitewright.engines.sandbox import seccomp
from sitewright.system.hierarchy import parse_mounts
from sitewright.system.remount import remount_options


def test_bubblewraps_argv_holds_the_command_and_nothing_secret() -> None:
    assert bwrap.bwrap(("/bin/sh", "-c", "exec x")) == ("/usr/bin/bwrap", "--args", "10", "--", "/bin/sh", "-c", "exec x")


def test_options_are_ended_by_nul_and_may_not_hold_one() -> None:
    assert bwrap.encode(("--setenv", "A", "é")) == b"--setenv\0A\0\xc3\xa9\0"
    with pytest.raises(ValueError, match="NUL"):
        bwrap.encode(("--setenv", "A", "x\0--bind"))


def test_of_a_variable_named_twice_the_last_counts() -> None:
    assert bwrap.environment((("A", "1"), ("B", "2"), ("A", "3"))) == ("--clearenv", "--setenv", "A", "3", "--setenv", "B", "2")


def test_only_a_sandbox_without_a_prepared_network_makes_its_own() -> None:
    assert "--unshare-net" in bwrap.namespaces(own_network=True)
    assert "--unshare-net" not in bwrap.namespaces(own_network=False)


def test_root_enters_the_network_then_becomes_the_tenant() -> None:
    assert nsenter.in_network("/run/netns/x", 7, 8, ("prog",)) == (
        "/usr/bin/nsenter", "--net=/run/netns/x", "--setgid", "8", "--setuid", "7", "--", "prog",
    )  # fmt: skip
    assert nsenter.in_network("", 7, 8, ("prog",)) == ("/usr/bin/nsenter", "--setgid", "8", "--setuid", "7", "--", "prog")


def test_a_command_beside_an_instance_joins_everything_but_root_stays_out_of_the_user_namespace() -> None:
    argv = nsenter.beside(99, ("x",), user=(7, 8))
    assert {"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"} <= set(argv)
    assert not any(option.startswith("--user") for option in argv)
    assert "--user=/proc/self/fd/13" in nsenter.beside(99, ("x",), user=None)


def test_limits_come_first() -> None:
    assert nsenter.limited(10, ("x",)) == ("/usr/bin/prlimit", "--nofile=10:10", "--core=0:0", "--", "x")


def test_the_relay_leads_to_the_loopback_inside() -> None:
    assert relay.relay("/lib/p", 8000)[-1] == "127.0.0.1:8000"


def test_networks_of_one_platform_never_share_an_address_or_a_name() -> None:
    links = [Link("0a1b2c3d", 5, index) for index in (0, 1, 8191)]
    addresses = [address for link in links for address in (link.host_address, link.address)]
    assert len(set(addresses)) == 6
    assert links[0].host_address == "100.65.64.0"
    assert links[2].address == "100.65.127.255"
    assert all(len(link.interface) <= 15 for link in links)


def test_slices_fill_the_shared_range_and_do_not_overlap() -> None:
    slices = [network.slice_network(number) for number in range(network.SLICES)]
    assert str(slices[0]) == "100.64.0.0/18"
    assert str(slices[-1]) == "100.127.192.0/18"
    assert len(set(slices)) == network.SLICES


def test_a_network_is_made_in_two_batches() -> None:
    link = Link("0a1b2c3d", 0, 1)
    assert network.make_link(link, 1400).decode().splitlines() == [
        "netns add sw-0a1b2c3d-1",
        "link add s0a1b2c3d-1 mtu 1400 type veth peer name eth0 mtu 1400 netns sw-0a1b2c3d-1",
        "addr add 100.64.0.2/31 dev s0a1b2c3d-1",
        "link set s0a1b2c3d-1 up",
    ]
    assert network.make_inside(link).decode().splitlines()[-1] == "route add default via 100.64.0.2"


def test_the_rules_replace_the_platforms_table_and_no_other() -> None:
    rules = network.ruleset("0a1b2c3d", 0, Egress(("10.9.9.9",), ("10.1.0.0/16",))).decode()
    assert rules.startswith("table inet sitewright_0a1b2c3d\ndelete table inet sitewright_0a1b2c3d\n")
    assert "flush" not in rules
    allowed = rules.index("ip daddr { 10.9.9.9 } udp dport 53 accept")
    extra = rules.index("ip daddr { 10.1.0.0/16 } accept")
    assert allowed < extra < rules.index("ip daddr { 0.0.0.0/8")


def test_loopback_and_ipv6_resolvers_cannot_be_used_and_bad_networks_are_named() -> None:
    assert network.egress_of(("127.0.0.53", "::1", "10.0.0.1", "10.0.0.1"), " 10.2.0.0/16, 10.3.0.1 ") == Egress(
        ("10.0.0.1",), ("10.2.0.0/16", "10.3.0.1/32")
    )
    with pytest.raises(ValueError, match=r"10\.1\.1\.1/8"):
        network.egress_of((), "10.1.1.1/8")


def test_nameservers_are_read_from_a_resolv_conf() -> None:
    assert network.nameservers("# x\nsearch a\nnameserver 10.0.0.1\noptions x\nnameserver ::1\n") == ("10.0.0.1", "::1")


def test_control_groups_are_found_in_hybrid_and_unified_set_ups() -> None:
    hybrid = "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/memory cgroup rw,memory 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n"
    v1, unified = parse_mounts(hybrid)
    assert dict(v1) == {"cpu": Path("/c/cpu,cpuacct"), "cpuacct": Path("/c/cpu,cpuacct"), "memory": Path("/c/memory")}
    assert unified == Path("/c/unified")
    assert parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == ((), Path("/sys/fs/cgroup"))


def test_a_remount_keeps_the_options_that_are_there() -> None:
    info = "31 23 0:28 / /sys rw - tmpfs t rw\n35 24 0:30 / /sys/fs/cgroup rw,nosuid,noexec,relatime shared:9 - cgroup2 c rw,nsdelegate\n"
    found = remount_options(info, Path("/sys/fs/cgroup"), "favordynmods")
    assert found == (32 | 2 | 8 | 1 << 21, "nsdelegate,favordynmods")
    assert remount_options(info.replace("nsdelegate", "favordynmods"), Path("/sys/fs/cgroup"), "favordynmods") is None
    assert remount_options(info, Path("/elsewhere"), "favordynmods") is None


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter answers, by the rules of classic BPF."""
    program = seccomp.filter_for(machine)
    assert program is not None
    words = [0] * 16
    words[0], words[1] = number, seccomp.ARCHITECTURES[machine].audit if audit is None else audit
    for place, value in enumerate(arguments):
        words[4 + 2 * place] = value
    steps = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            accumulator = words[value // 4]
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += yes if holds else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_it_lists_and_allows_the_rest(machine: str) -> None:
    architecture = seccomp.ARCHITECTURES[machine]
    for _, number in architecture.denied:
        assert verdict(machine, number) == seccomp.error(errno.EPERM)
    denied = {number for _, number in architecture.denied} | {435}
    looked_into = {architecture.clone, architecture.ioctl, architecture.socket, architecture.personality}
    for number in set(range(480)) - denied - looked_into:
        assert verdict(machine, number) == seccomp.ALLOW


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_looks_into_arguments(machine: str) -> None:
    calls = seccomp.ARCHITECTURES[machine]
    refused = seccomp.error(errno.EPERM)
    assert verdict(machine, calls.clone, 17) == seccomp.ALLOW
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, calls.clone, flag | 17) == refused
    assert verdict(machine, calls.clone3) == seccomp.error(errno.ENOSYS)
    assert [verdict(machine, calls.ioctl, 0, request) for request in (0x5412, 0x541C, 0x5413)] == [refused, refused, seccomp.ALLOW]
    assert all(verdict(machine, calls.socket, family) == seccomp.ALLOW for family in (1, 2, 10, 16))
    assert all(verdict(machine, calls.socket, family) == seccomp.error(errno.EAFNOSUPPORT) for family in (0, 17, 38, 40))
    assert verdict(machine, calls.personality, 0xFFFFFFFF) == seccomp.ALLOW
    assert verdict(machine, calls.personality, 0x40000) == refused


def test_other_architectures_and_calling_conventions_are_killed() -> None:
    assert verdict("x86_64", 39, audit=0x40000003) == seccomp.KILL
    assert verdict("x86_64", 0x40000000 + 39) == seccomp.KILL
    assert verdict("aarch64", 39, audit=0xC000003E) == seccomp.KILL
    assert seccomp.filter_for("mips") is None
