import ipaddress

from sitewright.commands.docker_config import (
    NETWORK_PLACES,
    Bind,
    Container,
    bridge_name,
    container_body,
    network_body,
    subnet_at,
)
from sitewright.commands.docker_egress import egress_rules, nft_argv
from sitewright.commands.network import PRIVATE_RANGES, Egress
from sitewright.domain.limits import MIB, Limits

TAG = "0badcafe"
CONTAINER = Container(
    image="sitewright-0badcafe/host:1",
    argv=("/bin/sh", "-c", "gunicorn app"),
    uid=1_300_001,
    env=("PORT=8000", "GREETING=a=b"),
    binds=(Bind("/usr", "/usr"), Bind("/srv/alice", "/app", writable=True)),
    limits=Limits(memory_bytes=256 * MIB, cpu_millicores=500, pids=128, open_files=4096, scratch_bytes=64 * MIB),
    network="sw-0badcafe-1300001",
    workdir="/app",
    labels=(("sitewright.platform", TAG),),
)


def test_the_whole_body_of_a_container() -> None:
    assert container_body(CONTAINER) == {
        "Image": "sitewright-0badcafe/host:1",
        "Entrypoint": None,
        "Cmd": ["/bin/sh", "-c", "gunicorn app"],
        "Env": ["PORT=8000", "GREETING=a=b"],
        "User": "1300001:1300001",
        "WorkingDir": "/app",
        "Hostname": "site",
        "Labels": {"sitewright.platform": "0badcafe"},
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Privileged": False,
            "ReadonlyRootfs": True,
            "UsernsMode": "host",
            "IpcMode": "private",
            "PidMode": "",
            "Init": True,
            "Tmpfs": {"/tmp": "rw,nosuid,nodev,exec,mode=1777,size=67108864"},
            "ShmSize": 67108864,
            "OomScoreAdj": 500,
            "Memory": 268435456,
            "MemorySwap": 268435456,
            "NanoCpus": 500_000_000,
            "CpuShares": 1024,
            "PidsLimit": 128,
            "Ulimits": [
                {"Name": "nofile", "Soft": 4096, "Hard": 4096},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "Mounts": [
                {"Type": "bind", "Source": "/usr", "Target": "/usr", "ReadOnly": True, "BindOptions": {"Propagation": "rprivate"}},
                {"Type": "bind", "Source": "/srv/alice", "Target": "/app", "ReadOnly": False, "BindOptions": {"Propagation": "rprivate"}},
            ],
            "NetworkMode": "sw-0badcafe-1300001",
            "LogConfig": {"Type": "local", "Config": {"max-size": "1m", "max-file": "2", "compress": "false"}},
            "RestartPolicy": {"Name": "no"},
        },
    }


def test_the_whole_body_of_a_network() -> None:
    assert network_body(TAG, 1_300_001, 5) == {
        "Name": "sw-0badcafe-1300001",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": False,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "100.126.1.64/26"}]},
        "Labels": {"sitewright.platform": "0badcafe"},
        "Options": {"com.docker.network.bridge.name": "sd0badcafe005", "com.docker.network.bridge.enable_icc": "false"},
    }


def test_no_two_networks_of_a_platform_meet_and_all_are_in_its_slice() -> None:
    subnets = [subnet_at(TAG, place) for place in range(NETWORK_PLACES)]
    assert len({subnet.network_address for subnet in subnets}) == NETWORK_PLACES
    assert {str(subnet.supernet(new_prefix=16)) for subnet in subnets} == {"100.126.0.0/16"}


def test_a_bridge_name_fits_the_kernel() -> None:
    assert len(bridge_name("f" * 8, NETWORK_PLACES - 1)) <= 15


def test_the_whole_table_of_rules() -> None:
    rules = egress_rules(TAG, Egress(resolvers=("10.0.0.53",), extra=("10.1.0.0/16",)), ("192.0.2.2",))
    closed = ", ".join(map(str, ipaddress.collapse_addresses(map(ipaddress.IPv4Network, (*PRIVATE_RANGES, "192.0.2.2")))))
    assert (
        rules
        == f"""\
table inet sitewright_docker_0badcafe
delete table inet sitewright_docker_0badcafe
table inet sitewright_docker_0badcafe {{
  chain forward {{
    type filter hook forward priority -5; policy accept;
    iifname "sd0badcafe*" jump outward
    oifname "sd0badcafe*" ct state != {{ established, related }} drop
  }}
  chain outward {{
    ct state {{ established, related }} accept
    ip daddr {{ 10.0.0.53/32 }} meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {{ 10.1.0.0/16 }} accept
    ip daddr {{ {closed} }} reject with icmpx admin-prohibited
    meta nfproto ipv6 reject with icmpx admin-prohibited
  }}
  chain input {{
    type filter hook input priority -5; policy accept;
    iifname "sd0badcafe*" jump inward
  }}
  chain inward {{
    ct state {{ established, related }} accept
    ip daddr {{ 10.0.0.53/32 }} meta l4proto {{ tcp, udp }} th dport 53 accept
    reject with icmpx admin-prohibited
  }}
}}
"""
    )


def test_the_machines_own_public_address_is_closed_too() -> None:
    assert "8.8.4.4/32" in egress_rules(TAG, Egress(), ("8.8.4.4",))


def test_rules_are_made_where_the_daemon_has_its_bridges() -> None:
    assert nft_argv(42) == ("nsenter", "--net=/proc/42/ns/net", "nft", "-f", "-")
