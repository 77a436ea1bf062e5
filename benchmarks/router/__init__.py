"""The router against bare nginx and against others, with 10 and 10,000 sites; and how soon a route change is served under load."""

from __future__ import annotations

from benchmarks.harness import Row, require
from benchmarks.rig.load import by_host, by_path
from benchmarks.rig.servers import Server
from benchmarks.router.change import change_rows
from benchmarks.router.cpu import Contender, compare, cpu_ratio, cpu_row, throughput_ratio
from benchmarks.router.peers import caddy, haproxy
from benchmarks.router.place import FEW, MANY, PROXIED, STATIC, Place, fill_sites, prepared
from benchmarks.router.rules import rules_rows


def measure() -> list[Row]:
    """Rows of the router."""
    for program in ("wrk", "haproxy", "caddy"):
        require(program, program)
    with prepared() as there:
        empty = there.ours.memory_mib()
        change = fill_sites(there)
        with haproxy(there) as proxy, caddy(there) as files:
            rows = [*_with_sites(there, proxy, files, FEW), *_with_sites(there, proxy, files, MANY)]
        rows += change_rows(there)
        rows += rules_rows(there)
        rows += [
            Row("route change, the call alone, median", change * 1000, "ms"),
            Row("router memory, 20,000 routes and load behind it", there.ours.memory_mib(), "MiB", peer="no site", peer_value=empty),
        ]
    return rows


def _with_sites(there: Place, proxy: Server, files: Server, count: int) -> list[Row]:
    """CPU and throughput with load spread over *count* sites of each kind."""
    sites = f"{count:,} sites"
    static = compare(
        [
            Contender("bare nginx", there.bare, by_path("/s%d/index.html", count)),
            Contender("ours", there.ours, by_host(STATIC, count)),
            Contender("Caddy", files, by_host(STATIC, count)),
        ]
    )
    proxied = compare(
        [
            Contender("bare nginx", there.bare, "", "/app"),
            Contender("ours", there.ours, by_host(PROXIED, count)),
            Contender("HAProxy", proxy, by_host(PROXIED, count)),
        ]
    )
    bar = 3.0 if count == MANY else None
    # wrk has the same processors: what a server does with its own share is its throughput, what came of it this time depends on wrk's.
    worth = 1 / cpu_ratio(static["ours"], static["Caddy"])
    throughput = throughput_ratio(static["ours"], static["Caddy"])
    return [
        cpu_row(f"static file, {sites}", static, 1.2),
        Row(f"static file, {sites}: requests a CPU second", worth, "× Caddy's", bar, True, "Caddy", 1.0),
        Row(f"static file, {sites}: requests a second beside wrk", throughput, "× Caddy's", bar, True, "Caddy", 1.0),
        cpu_row(f"proxied, {sites}", proxied, 2.3),
        cpu_row(f"proxied, {sites}, against HAProxy", proxied, None, "HAProxy"),
    ]
