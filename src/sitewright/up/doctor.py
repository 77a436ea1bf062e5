"""`sitewright doctor`: everything that preflight checks, and how the running platform is, in words."""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict, dataclass

from sitewright.config.settings import Settings
from sitewright.system import priority
from sitewright.up.health import get
from sitewright.up.leftovers import PARTS, lock_holder, noted, parts
from sitewright.up.preflight import Finding, Weight, check
from sitewright.up.processes import read_plan
from sitewright.up.survey import Facts, survey

LEFT_OVER = Finding(
    "leftover",
    Weight.STOP,
    "The supervisor of this platform was killed; its parts go on without anybody to restart them.",
    "`sitewright up` takes the platform over; `sitewright down` ends it.",
)
NOT_FIRST = Finding(
    "priority",
    Weight.WEAKER,
    "The router does not come before the sites: busy sites may make all others slow.",
    "Start the platform where control groups with the controller `cpu` can be made (not in a container without them).",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What doctor found. ``running``: a supervisor holds the platform. ``health``: the manager's own words, {} when it is silent."""

    running: bool
    findings: tuple[Finding, ...]
    down: tuple[str, ...]
    health: dict[str, object]

    @property
    def well(self) -> bool:
        """Whether nothing needs a person."""
        return not self.down and not any(finding.weight is Weight.STOP for finding in self.findings)


def examine(settings: Settings) -> Report:
    """Look at the machine and at the platform on it."""
    facts = survey(settings)
    running = bool(lock_holder(settings.paths))
    left = not running and any(part.alive for part in parts(settings.paths))
    # While the platform runs, its own lock and port are no obstacles.
    findings = tuple(finding for finding in check(facts) if not ((running or left) and finding.code in {"running", "port", "ssh-port"}))
    if left:
        findings = (*findings, LEFT_OVER)
    if running and facts.root and not priority.in_place(settings.paths.tag, noted(settings.paths, "nginx").pid):
        findings = (*findings, NOT_FIRST)
    down = tuple(part.name for part in parts(settings.paths) if not part.alive and part.name in _planned(settings)) if running else ()
    health: dict[str, object] = {}
    if running:
        try:
            answer = get(settings, settings.manager_host, "/health/ready")
            health = {"status": answer.status, **(answer.json() if isinstance(answer.json(), dict) else {})}
        except (OSError, http.client.HTTPException) as error:
            health = {"status": 0, "error": str(error)}
            down = down or ("manager",)
        if health.get("status") not in {0, 200}:
            down = down or ("manager",)
    return Report(running=running, findings=findings, down=down, health=health)


def _planned(settings: Settings) -> frozenset[str]:
    """The parts that this platform was started with; it may have no SSH door."""
    try:
        return frozenset(str(spec["name"]) for spec in read_plan(settings)["processes"])
    except (OSError, ValueError, LookupError):
        return frozenset(PARTS)


def _answering(health: dict[str, object]) -> str:
    """Which of the manager's own checks are well, in words."""
    checks = health.get("checks")
    well = [str(name) for name, ok in checks.items() if ok] if isinstance(checks, dict) else []
    return f"; the manager reaches its {', '.join(well)}" if well else ""


def in_words(facts_home: str, report: Report) -> list[str]:
    """The report as lines."""
    lines = [f"{'A platform is running' if report.running else 'No platform is running'} with the data folder {facts_home}."]
    for finding in report.findings:
        mark = "✗" if finding.weight is Weight.STOP else "!"
        lines += [f"{mark} {finding.message}", f"    {finding.resolution}"]
    for name in report.down:
        lines += [f"✗ The {name} is down.", f"    Its log is in {facts_home}/logs/{name}.log; it is started again by itself."]
    if report.running and not report.down:
        lines.append(f"✓ All parts run{_answering(report.health)}.")
    if report.well:
        lines.append("✓ Nothing needs you." if report.running else "✓ This machine is ready for `sitewright up`.")
    return lines


def capabilities(facts: Facts) -> list[str]:
    """What instances get on this machine."""
    if facts.engine == "docker":
        return ["Sites run in containers of the Docker Engine."]
    if facts.root:
        return ["Sites run in sandboxes: a user, a network and limits of their own each."]
    return ["Sites run in sandboxes of your own user, with weaker limits."]


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print the report; the exit code is 0 when nothing needs a person, else 10."""
    report = examine(settings)
    if as_json:
        print(json.dumps({**asdict(report), "well": report.well}, indent=2))
    else:
        print("\n".join([*in_words(str(settings.home), report), *capabilities(survey(settings))]))
    return 0 if report.well else 10
