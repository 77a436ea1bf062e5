"""Where containers may go, as one nftables table beside Docker's own rules.

Docker isolates its bridges from each other and masquerades them; it does not keep containers from the host's services nor from the
private network the host is in. This table does, for this platform's bridges only, and is replaced as a whole.
"""

from __future__ import annotations

import ipaddress

from sitewright.commands.docker_config import bridge_pattern
from sitewright.commands.network import PRIVATE_RANGES, Egress


def table_name(tag: str) -> str:
    """The table of one platform."""
    return f"sitewright_docker_{tag}"


def _addresses(values: tuple[str, ...]) -> str:
    return ", ".join(str(network) for network in ipaddress.collapse_addresses(map(ipaddress.IPv4Network, values)))


def egress_rules(tag: str, egress: Egress, own: tuple[str, ...]) -> str:
    """Input for ``nft -f -`` that puts this table in the former one's place at once. *own* are the machine's addresses, which are closed
    too. Raises ValueError for a bad address."""
    bridges, name = bridge_pattern(tag), table_name(tag)
    dns = f"ip daddr {{ {_addresses(egress.resolvers)} }} meta l4proto {{ tcp, udp }} th dport 53 accept" if egress.resolvers else ""
    allowed = f"ip daddr {{ {_addresses(egress.extra)} }} accept" if egress.extra else ""
    closed = _addresses((*PRIVATE_RANGES, *own))
    lines = [
        f"table inet {name}",
        f"delete table inet {name}",
        f"table inet {name} {{",
        "  chain forward {",
        "    type filter hook forward priority -5; policy accept;",
        f'    iifname "{bridges}" jump outward',
        f'    oifname "{bridges}" ct state != {{ established, related }} drop',
        "  }",
        "  chain outward {",
        "    ct state { established, related } accept",
        f"    {dns}",
        f"    {allowed}",
        f"    ip daddr {{ {closed} }} reject with icmpx admin-prohibited",
        "    meta nfproto ipv6 reject with icmpx admin-prohibited",
        "  }",
        "  chain input {",
        "    type filter hook input priority -5; policy accept;",
        f'    iifname "{bridges}" jump inward',
        "  }",
        "  chain inward {",
        "    ct state { established, related } accept",
        f"    {dns}",
        "    reject with icmpx admin-prohibited",
        "  }",
        "}",
    ]
    return "\n".join(line for line in lines if line.strip()) + "\n"


def no_rules(tag: str) -> str:
    """Input for ``nft -f -`` that takes the table away, also when it is not there."""
    return f"table inet {table_name(tag)}\ndelete table inet {table_name(tag)}\n"


def nft_argv(namespace_pid: int) -> tuple[str, ...]:
    """Run nft where process *namespace_pid* has its network; the rules come on standard input."""
    return ("nsenter", f"--net=/proc/{namespace_pid}/ns/net", "nft", "-f", "-")
