"""What the values of a sitewright.toml mean together: processes, page rules, wishes. Pure."""

from __future__ import annotations

import re
from typing import Any, Protocol

from sitewright.builder.config.keys import FILE
from sitewright.builder.config.lines import Path
from sitewright.builder.config.model import BuildWish, SiteConfig
from sitewright.builder.procfile import CRON_PREFIX, MAX_PROCESS_TYPES, RUN
from sitewright.domain.names import ChannelName, EnvName, ProcessType
from sitewright.domain.page_patterns import check_headers, check_redirect, parse_pattern
from sitewright.domain.pages import MOST_RULES, HeaderRule, PageRules, RedirectRule, Wishes
from sitewright.domain.processes import HealthCheck
from sitewright.errors import InvalidValueError

Values = dict[str, Any]
_KEY_NAME = re.compile(r"(?i)(?:^|_)(?:SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|CREDENTIALS?)(?:_|$)|_KEY$")
_KEY_VALUE = re.compile(
    r"(?:sk|pk|rk)_(?:live|test)_\w{10,}|gh[pousr]_\w{20,}|glpat-[\w-]{16,}|xox[abpr]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|AIza[\w-]{30,}|eyJ[\w-]{10,}\.eyJ|\w+://[^/\s:@]+:[^/\s:@]{3,}@"
)


class Notes(Protocol):
    """Where problems go."""

    def wrong(self, path: Path, message: str, resolution: str = "", *, warning: bool = False) -> None:
        """Note a problem of what is at *path*."""
        ...


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that no repository should hold."""
    return bool(_KEY_VALUE.search(value) or (_KEY_NAME.search(name) and len(value) >= 8 and value.lower() not in {"changeme", "required"}))


def meaning_of(values: Values, notes: Notes) -> SiteConfig:
    """The configuration; what cannot be is told to *notes*."""
    build = values.get("build", {})
    resources = values.get("resources", {})
    pages = values.get("pages", {})
    lines, health = _processes(values, notes)
    return SiteConfig(
        file=FILE,
        build=BuildWish(
            build.get("command", ""),
            build.get("output"),
            build.get("root", ""),
            tuple(build.get("versions", {}).items()),
            build.get("dockerfile", ""),
        ),
        lines=lines,
        health=health,
        rules=PageRules(_headers(values, notes), _redirects(values, notes), pages.get("not_found", "")),
        spa=pages.get("spa", ""),
        wishes=_wishes(values, (), notes),
        memory_mb=resources.get("memory"),
        cpu_millicores=resources.get("cpu"),
        channels=_channels(values, notes),
    )


def _processes(values: Values, notes: Notes) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, HealthCheck], ...]]:
    """Lines of a Procfile, and health checks, by process type."""
    lines: dict[str, str] = {}
    health: dict[str, HealthCheck] = {}
    for name, process in values.get("processes", {}).items():
        if not _is_process(name, ("processes", name), notes):
            continue
        if "command" in process:
            lines[name] = process["command"]
        if "health" in process:
            health[name] = _health(process["health"])
        if "instances" in process and name == "web" and process["instances"] == 0:
            notes.wrong(
                ("processes", name, "instances"), "A site needs at least one web process.", "To let nothing of it run, stop the site."
            )
        if "instances" in process and name == "release":
            notes.wrong(("processes", name, "instances"), "“release” runs once before each release goes live.", "Leave “instances” out.")
    for name, cron in values.get("cron", {}).items():
        kind = cron_type(name)
        if _is_process(kind, ("cron", name), notes) and {"schedule", "command"} <= cron.keys():
            options = [cron["schedule"]]
            options += [f"TZ={cron['timezone']}"] if "timezone" in cron else []
            options += ["overlap"] if cron.get("overlap") else []
            lines[kind] = " ".join((*options, cron["command"]))
    if len(lines) > MAX_PROCESS_TYPES:
        notes.wrong(("processes",), f"{len(lines)} process types are too many; {MAX_PROCESS_TYPES} is the most.", "Remove some.")
    return tuple(lines.items()), tuple(health.items())


def cron_type(name: str) -> str:
    """The process type of a cron entry."""
    return name if name.startswith(CRON_PREFIX) else f"{CRON_PREFIX}{name}"


def _is_process(name: str, path: Path, notes: Notes) -> bool:
    try:
        ProcessType(name)
    except InvalidValueError as error:
        notes.wrong(path, f"{error.message} {error.details}".strip(), error.resolution)
        return False
    if name == RUN:
        notes.wrong(path, "“run” is what the platform calls commands that somebody runs by hand.", "Choose another name.")
        return False
    if path[0] == "processes" and (name == "cron" or name.startswith(CRON_PREFIX)):
        notes.wrong(path, f"“{name}” runs at its times.", f"Write it as [cron.{name.removeprefix(CRON_PREFIX)}], with a schedule.")
        return False
    return True


def _health(values: Values) -> HealthCheck:
    usual = HealthCheck()
    return HealthCheck(
        path=values.get("path", usual.path),
        startup_seconds=values.get("start", usual.startup_seconds),
        interval_seconds=values.get("every", usual.interval_seconds),
        timeout_seconds=values.get("timeout", usual.timeout_seconds),
        failures=values.get("failures", usual.failures),
    )


def _wishes(values: Values, path: Path, notes: Notes) -> Wishes:
    """Of the whole file, or of what is below a channel's name."""
    rows = {**values.get("processes", {}), **{cron_type(name): one for name, one in values.get("cron", {}).items()}}

    def figures(key: str) -> tuple[tuple[str, int], ...]:
        return tuple((name, one[key]) for name, one in rows.items() if key in one)

    sleep = values.get("sleep", {})
    freeze, stop = sleep.get("after"), sleep.get("stop_after")
    if sleep.get("never"):
        if freeze is not None or stop is not None:
            notes.wrong((*path, "sleep", "never"), "It either never sleeps or sleeps after some time.", "Leave one of the two out.")
        freeze = stop = 0.0
    return Wishes(
        memory_mb=figures("memory"),
        cpu_millicores=figures("cpu"),
        count=figures("instances"),
        freeze_after_seconds=freeze,
        stop_after_seconds=stop,
        env=_env(values.get("env", {}), (*path, "env"), notes),
    )


def _env(values: Values, path: Path, notes: Notes) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in values.items():
        if value is None:
            continue
        try:
            EnvName(name)
        except InvalidValueError as error:
            notes.wrong((*path, name), f"{error.message} {error.details}".strip(), error.resolution)
            continue
        if looks_secret(name, value):
            advice = (
                f"Remove it here, and set it with “sitewright env set SITE {name}=… --secret”; whoever can read the repository knows it."
            )
            notes.wrong((*path, name), f"“{name}” looks like a secret.", advice, warning=True)
        found.append((name, value))
    return tuple(found)


def _channels(values: Values, notes: Notes) -> tuple[tuple[str, Wishes], ...]:
    found = []
    for name, one in values.get("channels", {}).items():
        try:
            found.append((ChannelName(name), _wishes(one, ("channels", name), notes)))
        except InvalidValueError as error:
            notes.wrong(("channels", name), error.message, error.resolution)
    return tuple((str(name), wishes) for name, wishes in found)


def _redirects(values: Values, notes: Notes) -> tuple[RedirectRule, ...]:
    found: list[RedirectRule] = []
    for kind, status in (("redirects", 301), ("rewrites", 200)):
        for one in values.get(kind, []):
            if not {"from", "to"} <= one.keys():
                continue
            rule = RedirectRule(one["from"], one["to"], one.get("status", status), one.get("force", False), one.get("query", ()))
            try:
                check_redirect(rule)
            except InvalidValueError as error:
                notes.wrong((kind, one[""]), f"{error.message} {error.details}".strip(), error.resolution)
                continue
            found.append(rule)
    if len(found) > MOST_RULES:
        notes.wrong(("redirects",), f"{len(found)} rules are too many; {MOST_RULES} is the most.", "“/old/*” stands for many.")
    return tuple(found)


def _headers(values: Values, notes: Notes) -> tuple[HeaderRule, ...]:
    """Cache rules first, so that what [[headers]] says of Cache-Control wins."""
    found: list[HeaderRule] = []
    for pattern, life in values.get("cache", {}).items():
        try:
            parse_pattern(pattern)
        except InvalidValueError as error:
            notes.wrong(("cache", pattern), error.message, error.resolution)
            continue
        if life is not None:
            found.append(HeaderRule(pattern, (("Cache-Control", life),)))
    for one in values.get("headers", []):
        rule = HeaderRule(one.get("path", ""), one.get("values", ()))
        if not rule.path or not rule.headers:
            continue
        try:
            check_headers(rule)
        except InvalidValueError as error:
            notes.wrong(("headers", one[""]), f"{error.message} {error.details}".strip(), error.resolution)
            continue
        found.append(rule)
    return tuple(found)
