"""How much later the slowest hundredth of a quiet site's answers come while builds of other teams' sites queue up beside it.

Every turn beside a queue follows a quiet one; see ``benchmarks.platform.neighbour`` for how the turns become a ratio, and for what cannot
be measured on a machine that is busy with something else. Half of the builds compute and write, as bundlers do; half install a Flask app's
dependencies anew, from what is in the site's cache. The last row is the share of builds that
ended well.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.neighbour import BAR, Turn, late, late_ratio, merged
from benchmarks.platform.stand import Stand, flask_app, packed, stand, static_site
from benchmarks.rig.pace import start_pace

STATIC, PROXIED = "builds-files", "builds-app"
BUILT = 6
"""Sites whose builds queue up in each turn."""
ROUNDS = 5
TURN_SECONDS = 2.0
WORK = (
    "const fs=require('fs'),c=require('crypto');fs.mkdirSync('dist',{recursive:true});const end=Date.now()+900;let n=0;"
    "while(Date.now()<end){fs.writeFileSync('dist/f'+(n++%200),c.createHash('sha512').update(Buffer.alloc(2e6,n)).digest('hex').repeat(200))}"
    "fs.writeFileSync('dist/index.html','built')"
)


def measure() -> list[Row]:
    """Rows of builds."""
    with stand() as there:
        return build_rows(there)


def build_rows(there: Stand) -> list[Row]:
    """p99 of a quiet static and a quiet proxied site, alone and beside a queue of builds."""
    for site, make in ((STATIC, static_site), (PROXIED, flask_app)):
        there.platform.cli("sites", "create", site, "--from", str(make(there.folder / site, "quiet")))
        there.visitor(site).await_status(200)
    for number in range(BUILT):
        there.platform.cli("sites", "create", _name(number), "--from", str(_source(there.folder, number, 0)))
    pairs = [(_turn(there, 0), _turn(there, turn)) for turn in range(1, ROUNDS + 1)]
    rows = []
    for name in ("static", "proxied"):
        quiet: list[list[float]] = [getattr(alone, name) for alone, _ in pairs]
        rows.append(Row(f"builds: quiet {name} site alone, p99", late(merged(quiet)) * 1000, "ms"))
        ratio = late_ratio(name, pairs)
        rows.append(
            Row(f"builds: quiet {name} site beside a queue of builds, p99, ratio", ratio, "×", BAR, peer="itself alone", peer_value=1.0)
        )
    good, all_builds = _ended(there)
    rows.append(Row(f"builds: of {all_builds} beside the visits, ended well", good / all_builds, "share", 1.0, higher_is_better=True))
    return rows


def _name(number: int) -> str:
    return f"builds-{number}"


def _source(folder: Path, number: int, turn: int) -> Path:
    """Something to build that takes about a second; another one each turn."""
    own = folder / _name(number)
    if number % 2:
        flask_app(own, f"{number}-{turn}")
        (own / "requirements.txt").write_text(f"flask\ngunicorn\n# {turn}\n")
        return own
    own.mkdir(exist_ok=True)
    (own / "work.js").write_text(WORK)
    (own / "package.json").write_text(json.dumps({"version": f"1.0.{turn}", "scripts": {"build": "node work.js"}}))
    return own


def _turn(there: Stand, turn: int) -> Turn:
    """A turn of visits; beside a queue of builds unless *turn* is 0."""
    api = there.api()
    if turn:
        for number in range(BUILT):
            uploaded = api.call("POST", "/uploads?filename=site.tar.gz", packed(_source(there.folder, number, turn)))
            source = {"kind": "upload", "digest": uploaded["digest"], "name": "site.tar.gz"}
            api.call("POST", f"/sites/{_name(number)}/deploys", {"source": source})
        time.sleep(0.3)
    visitors = [start_pace(there.port, there.host(site), TURN_SECONDS) for site in (STATIC, PROXIED)]
    static, proxied = (visitor.end() for visitor in visitors)
    api.close()
    for number in range(BUILT):
        there.settle(_name(number))
    time.sleep(0.3)
    return Turn(static, proxied)


def _ended(there: Stand) -> tuple[int, int]:
    """Builds that ended well, and all."""
    api = there.api()
    good = found = 0
    for number in range(BUILT):
        operations = api.call("GET", f"/sites/{_name(number)}/operations?limit=100")["items"]
        deploys = [operation for operation in operations if operation["kind"] == "deploy"]
        found += len(deploys)
        good += sum(operation["state"] == "succeeded" for operation in deploys)
    api.close()
    return good, found
