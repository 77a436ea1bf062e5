"""Private networks: the address plan, what `ip -batch` is told, and the nftables rules. Text and argv only; nothing here runs anything.

A sandbox has a network namespace of its own, joined to the host by a pair of virtual interfaces with a /31 of the carrier-grade NAT range
(RFC 6598). The host translates addresses and lets out everything but private destinations.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

IP = "/usr/sbin/ip"
NFT = "/usr/sbin/nft"
REDIRECT_TABLE = "sitewright_port"
"""In an instance's own network only."""
NETWORKS_PER_PLATFORM = 8192
CONNECTIONS = 2000
"""Connections (and UDP exchanges) of one sandbox that the machine keeps in mind at a time: its table is everybody's."""
SLICES = 256
"""100.64.0.0/10 holds 256 slices of 8,192 pairs."""

PRIVATE_RANGES = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/3",
)  # fmt: skip
"""Ranges that lead to somebody's inside (IANA's special-purpose registry), multicast and reserved included."""


@dataclass(frozen=True, slots=True)
class Link:
    """One private network: number *index* of platform *tag*, in address slice *slice*."""

    tag: str
    slice: int
    index: int

    @property
    def namespace(self) -> str:
        """Its name in /run/netns."""
        return f"sw-{self.tag}-{self.index}"

    @property
    def path(self) -> str:
        """The file that nsenter opens."""
        return f"/run/netns/{self.namespace}"

    @property
    def interface(self) -> str:
        """The host's end; at most 15 characters."""
        return f"{interface_prefix(self.tag)}{self.index}"

    @property
    def host_address(self) -> str:
        """The host's end of the /31."""
        return str(slice_network(self.slice)[2 * self.index])

    @property
    def address(self) -> str:
        """The sandbox's end of the /31."""
        return str(slice_network(self.slice)[2 * self.index + 1])


def interface_prefix(tag: str) -> str:
    """What the names of all interfaces of a platform begin with."""
    return f"s{tag}-"


def slice_network(number: int) -> ipaddress.IPv4Network:
    """The /18 that slice *number* of 256 is."""
    base = int(ipaddress.IPv4Address("100.64.0.0")) + number % SLICES * 2 * NETWORKS_PER_PLATFORM
    return ipaddress.IPv4Network((base, 18))


def slice_of(tag: str) -> int:
    """The slice that a platform tries first."""
    return int(tag, 16) % SLICES


def ip_batch(namespace: str = "") -> tuple[str, ...]:
    """Run the commands on standard input, in *namespace* if given."""
    return (IP, "-n", namespace, "-batch", "-") if namespace else (IP, "-batch", "-")


def make_link(link: Link, mtu: int) -> bytes:
    """On the host: the namespace and both ends."""
    lines = (
        f"netns add {link.namespace}",
        f"link add {link.interface} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {link.namespace}",
        f"addr add {link.host_address}/31 dev {link.interface}",
        f"link set {link.interface} up",
    )
    return "\n".join((*lines, "")).encode()


def make_inside(link: Link) -> bytes:
    """In the namespace: loopback, address and the way out."""
    lines = ("link set lo up", f"addr add {link.address}/31 dev eth0", "link set eth0 up", f"route add default via {link.host_address}")
    return "\n".join((*lines, "")).encode()


def delete_namespace(name: str) -> tuple[str, ...]:
    """Remove a namespace's name; it and its interfaces go when the last process in it has ended."""
    return (IP, "netns", "del", name)


def delete_interface(name: str) -> tuple[str, ...]:
    """Remove an interface pair."""
    return (IP, "link", "del", name)


def default_route() -> tuple[str, ...]:
    """Print the default routes as JSON."""
    return (IP, "-j", "-4", "route", "show", "default")


def links() -> tuple[str, ...]:
    """Print all interfaces with addresses as JSON."""
    return (IP, "-j", "-4", "addr", "show")


def nft_apply() -> tuple[str, ...]:
    """Apply the rules on standard input in one transaction."""
    return (NFT, "-f", "-")


def redirect(port: int, target: int) -> bytes:
    """Rules for one instance's own network: connections that it makes to *port* of its loopback reach *target*. May be applied again."""
    table = f"table ip {REDIRECT_TABLE}"
    rule = f"ip daddr 127.0.0.1 tcp dport {port} redirect to :{target}"
    return f"{redirect_none().decode()}{table} {{ chain output {{ type nat hook output priority -100; {rule}; }}; }}\n".encode()


def redirect_none() -> bytes:
    """Rules that take the redirection away, if there is one."""
    table = f"table ip {REDIRECT_TABLE}"
    return f"{table} {{ }}\ndelete {table}\n".encode()


def nft_delete(tag: str) -> tuple[str, ...]:
    """Remove the platform's table."""
    return (NFT, "delete", "table", "inet", table_name(tag))


def nft_chain(family: str, table: str, chain: str) -> tuple[str, ...]:
    """Print one chain as JSON."""
    return (NFT, "-j", "list", "chain", family, table, chain)


def table_name(tag: str) -> str:
    """The platform's own table; nothing else in the host's rules is its business."""
    return f"sitewright_{tag}"


@dataclass(frozen=True, slots=True)
class Egress:
    """Where sandboxes may go besides the internet: *resolvers* on port 53, *extra* (CIDR) wholly. IPv4."""

    resolvers: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


def ruleset(tag: str, number: int, egress: Egress) -> bytes:
    """The platform's whole table. Applied as one transaction it replaces what was there; flows that are established stay.

    ``forward`` is what leaves through the host, ``input`` what is aimed at the host itself (its services on any address are out of
    reach), ``postrouting`` translates addresses.
    """
    table = f"inet {table_name(tag)}"
    mine = f'"{interface_prefix(tag)}*"'
    network = slice_network(number)
    return f"""\
table {table}
delete table {table}
table {table} {{
  set talkers {{
    type ipv4_addr
    size 65535
    flags dynamic
  }}
  chain out {{
    ip saddr != {network} drop
    meta nfproto != ipv4 drop
    ct state new add @talkers {{ ip saddr ct count over {CONNECTIONS} }} reject with icmp type admin-prohibited
    oifname {mine} reject with icmp type admin-prohibited
{_allowed(egress)}
    ip daddr {{ {", ".join(PRIVATE_RANGES)} }} reject with icmp type admin-prohibited
    fib daddr type {{ local, broadcast, multicast }} drop
    accept
  }}
  chain forward {{
    type filter hook forward priority filter - 5; policy accept;
    iifname {mine} ct state established,related accept
    iifname {mine} jump out
    oifname {mine} ct state established,related accept
    oifname {mine} drop
  }}
  chain input {{
    type filter hook input priority filter - 5; policy accept;
    iifname {mine} meta nfproto ipv4 icmp type {{ destination-unreachable, time-exceeded }} accept
{_local_resolvers(egress, mine)}
    iifname {mine} meta nfproto ipv4 reject with icmp type admin-prohibited
    iifname {mine} drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {network} oifname != {mine} masquerade
  }}
}}
""".encode()


def _allowed(egress: Egress) -> str:
    lines: list[str] = []
    if egress.resolvers:
        addresses = ", ".join(egress.resolvers)
        lines += (f"    ip daddr {{ {addresses} }} udp dport 53 accept", f"    ip daddr {{ {addresses} }} tcp dport 53 accept")
    if egress.extra:
        lines.append(f"    ip daddr {{ {', '.join(egress.extra)} }} accept")
    return "\n".join(lines)


def _local_resolvers(egress: Egress, mine: str) -> str:
    if not egress.resolvers:
        return ""
    addresses = ", ".join(egress.resolvers)
    return f"    iifname {mine} ip daddr {{ {addresses} }} meta l4proto {{ tcp, udp }} th dport 53 accept"


def docker_accept(tag: str) -> bytes:
    """Let the platform's interfaces through Docker's FORWARD policy of DROP; the platform's own table still filters them."""
    mine = f'"{interface_prefix(tag)}*"'
    comment = f'comment "{table_name(tag)}"'
    return (
        f"insert rule ip filter FORWARD iifname {mine} counter accept {comment}\n"
        f"insert rule ip filter FORWARD oifname {mine} counter accept {comment}\n"
    ).encode()


def egress_of(resolvers: Iterable[str], extra: str) -> Egress:
    """Checked values. Raises ValueError that names the entry of *extra* that is not an IPv4 network; resolvers that cannot be used (IPv6,
    the host's loopback) are left out."""
    usable: list[str] = []
    for text in resolvers:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            continue
        if not address.is_loopback and str(address) not in usable:
            usable.append(str(address))
    networks = ipaddress.collapse_addresses(ipaddress.IPv4Network(entry.strip()) for entry in extra.split(",") if entry.strip())
    return Egress(tuple(usable), tuple(str(network) for network in networks))


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """The addresses on the `nameserver` lines of a resolv.conf."""
    found: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            found.append(words[1])
    return tuple(found)
