"""What page rules cost a request: nothing where there are none, and the same with one rule and with a thousand."""

from __future__ import annotations

from benchmarks.harness import Row
from benchmarks.rig.load import one_host
from benchmarks.router.cpu import Contender, compare, cpu_ratio
from benchmarks.router.place import Place
from sitewright.domain.identity import new_id
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.route import ChannelRoute

MANY_RULES = 1000
SECURITY = HeaderRule("/*", (("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff")))


def _rules(count: int) -> PageRules:
    return PageRules((SECURITY,), tuple(RedirectRule(f"/old/{number}/*", f"/new/{number}/:splat") for number in range(count)))


def rules_rows(there: Place) -> list[Row]:
    """CPU a request of a site with rules, as a multiple of the same site without."""
    public = there.folder / "ruled"
    public.mkdir()
    (public / "index.html").write_text("0123456789abcdef" * 64)
    kinds = {"plain": PageRules(), "one": _rules(1), "many": _rules(MANY_RULES)}
    for name, rules in kinds.items():
        there.table.set(ChannelRoute(new_id(), (f"{name}.files.bench.test",), public=public, rules=rules))
        there.table.set(ChannelRoute(new_id(), (f"{name}.app.bench.test",), sockets=there.sockets[:1], rules=rules))
    rows = []
    for kind, what in (("files", "static file"), ("app", "proxied")):
        turns = compare([Contender(name, there.ours, one_host(f"{name}.{kind}.bench.test")) for name in kinds])
        turns |= compare([Contender("led", there.ours, one_host(f"many.{kind}.bench.test"), "/old/500/a/b")])
        for name, words in (
            ("one", "1 rule and headers"),
            ("many", f"{MANY_RULES:,} rules and headers"),
            ("led", "a redirect, 1 of 1,000"),
        ):
            rows.append(Row(f"{what}, {words}", cpu_ratio(turns[name], turns["plain"]), "× CPU", peer="no rules", peer_value=1.0))
    return rows
