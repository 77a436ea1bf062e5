"""What a configuration changes of a build: the Procfile's lines, the pack's plan, the blueprint, and what the log says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sitewright.builder.config import app_json, headers_file, redirects_file
from sitewright.builder.config.keys import FILE
from sitewright.builder.config.model import NO_CONFIG, SiteConfig
from sitewright.builder.config.parse import parse_config
from sitewright.builder.config.problems import Problem
from sitewright.builder.config.versions import check_versions
from sitewright.builder.packs.base import Layout, PackPlan, Step, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.domain.page_patterns import together
from sitewright.domain.pages import PageRules, RedirectRule, Wishes
from sitewright.domain.processes import ProcessSpec
from sitewright.domain.release import Blueprint

_NOT_READ = {
    "netlify.toml": "netlify.toml is not read. sitewright.toml has its settings; _redirects and _headers are understood.",
    "vercel.json": "vercel.json is not read. sitewright.toml has redirects, headers and the build command.",
    "wrangler.toml": "wrangler.toml is not read. _redirects and _headers are understood; sitewright.toml has the rest.",
}
MOST_TOLD = 30


@dataclass(frozen=True, slots=True)
class Followed:
    """A tree's configuration and what is to be said of it."""

    config: SiteConfig = NO_CONFIG
    problems: tuple[Problem, ...] = ()
    counts: tuple[tuple[str, str], ...] = ()
    """Rule files of the served folder, and in words how many rules each has."""


def read_config(tree: Tree) -> Followed:
    """sitewright.toml's configuration, else app.json's, else none."""
    notes = [Problem(name, 0, words, warning=True) for name, words in _NOT_READ.items() if tree.has(name)]
    config = NO_CONFIG
    problems: tuple[Problem, ...] = ()
    if tree.has(FILE):
        config, problems = parse_config(tree.text(FILE))
        if tree.has(app_json.NAME) and app_json.parse_app_json(tree.text(app_json.NAME))[0].file:
            notes.append(Problem(app_json.NAME, 0, f"not read: {FILE} goes before it.", warning=True))
    elif tree.has(app_json.NAME):
        config, problems = app_json.parse_app_json(tree.text(app_json.NAME))
    return Followed(config, (*problems, *notes))


def with_lines(tree: Tree, config: SiteConfig) -> Tree:
    """The tree with the configuration's commands in its Procfile, in the place of those that it has there itself."""
    if not config.lines:
        return tree
    own = dict(config.lines)
    kept = [line for line in tree.text("Procfile").splitlines() if _name_of(line) not in own]
    text = "\n".join((*kept, *(f"{name}: {command}" for name, command in config.lines))) + "\n"
    return Tree(tuple(sorted({*tree.files, "Procfile"})), {**tree.texts, "Procfile": text})


def _name_of(line: str) -> str:
    name = line.partition(":")[0].strip().lower().replace("_", "-")
    return "" if name.startswith("#") else name


def has_web(tree: Tree) -> bool:
    """Whether the Procfile says what answers visitors."""
    return any(process.type == "web" for process in parse_procfile(tree.text("Procfile")))


def adjusted(pack: PackPlan, config: SiteConfig, toolchain: Toolchain, *, own_web: bool) -> PackPlan:
    """The plan as the configuration wants it. *own_web*: a Procfile or the configuration itself says what answers visitors.

    Raises BuildError for a runtime whose version does not fit.
    """
    check_versions(config.build.versions, pack.needs, toolchain)
    if not own_web and config.lines:
        added = parse_procfile("\n".join(f"{name}: {command}" for name, command in config.lines))
        names = {process.type for process in added}
        pack = replace(pack, processes=(*(one for one in pack.processes if one.type not in names), *added), dropped=())
    if config.build.command:
        step = Step(
            "Running the build command",
            ("/bin/sh", "-c", config.build.command),
            network=True,
            advice=f"It is the command in {config.file}: “{config.build.command[:80]}”. Run it on your machine to see what it says there.",
        )
        pack = replace(pack, steps=(step, *(one for one in pack.steps if not one.usual)))
    if config.build.output is not None:
        pack = _served_from(pack, config.build.output, own_web=own_web)
    return replace(pack, processes=_checked(pack.processes, config))


def _served_from(pack: PackPlan, output: str, *, own_web: bool) -> PackPlan:
    """Files of *output* are served: alone, or before the app when there is one."""
    if pack.pack == "node" and not own_web:
        # A front end whose start script is its development server.
        others = tuple(process for process in pack.processes if process.type != "web")
        pack = replace(pack, pack="node-static", title="front end", processes=others, env=(), dropped=() if others else ("node_modules",))
    if not output or any(process.type == "web" for process in pack.processes):
        return replace(pack, static_root=output, layout=None)
    spa = pack.layout.spa if pack.layout else False
    return replace(pack, static_root=None, layout=Layout((output,), spa=spa))


def _checked(processes: tuple[ProcessSpec, ...], config: SiteConfig) -> tuple[ProcessSpec, ...]:
    health = dict(config.health)
    return tuple(replace(one, health=health[one.type]) if one.type in health else one for one in processes)


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The texts of `_redirects` and `_headers` in the served folder; "" where there is none."""

    redirects: str = ""
    headers: str = ""


def finished(blueprint: Blueprint, followed: Followed, files: RuleFiles) -> tuple[Blueprint, Followed]:
    """The blueprint with rules and wishes, and what is to be said now."""
    config = followed.config
    redirects, more = redirects_file.parse_redirects(files.redirects)
    headers, others = headers_file.parse_headers(files.headers)
    rules = PageRules((*headers, *config.rules.headers), (*config.rules.redirects, *redirects), config.rules.not_found)
    problems = [*followed.problems, *more, *others]
    why = together(rules)
    if why:
        where = config.file or (redirects_file.NAME if redirects else headers_file.NAME)
        problems.append(Problem(where, 0, f"no redirect and no header rule is followed: {why}", warning=True))
        rules = PageRules(not_found=rules.not_found)
    fallback = config.spa if config.spa and blueprint.static_root is not None else blueprint.fallback
    if blueprint.is_static:
        rules, fallback = _with_fallback(rules, fallback)
    processes = _checked(blueprint.processes, config)
    changed = replace(
        blueprint,
        processes=processes,
        fallback=fallback,
        rules=rules,
        wishes=_for_all(config, config.wishes, processes),
        channels=config.channels,
        config=config.file,
    )
    counts = [(redirects_file.NAME, counted(len(redirects), "redirect", "s"))] if files.redirects else []
    counts += [(headers_file.NAME, counted(len(headers), "path", "s"))] if files.headers else []
    return changed, Followed(config, tuple(problems), tuple(counts))


def _with_fallback(rules: PageRules, fallback: str) -> tuple[PageRules, str]:
    """A last rule that shows one file for everything is what a fallback is, and the router has that without looking at rules."""
    last = rules.redirects[-1] if rules.redirects else None
    if last is None or not _is_fallback(last) or any(one.path == "/*" for one in rules.redirects[:-1]):
        return rules, fallback
    return replace(rules, redirects=rules.redirects[:-1]), last.target.removeprefix("/")


def _is_fallback(rule: RedirectRule) -> bool:
    everything = rule.path == "/*" and rule.status == 200 and not rule.force and not rule.query
    return everything and re.fullmatch(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,100}){1,8}", rule.target) is not None


def _for_all(config: SiteConfig, wishes: Wishes, processes: tuple[ProcessSpec, ...]) -> Wishes:
    """With what [resources] says for those that say nothing themselves."""
    names = [process.type for process in processes]
    memory = {name: config.memory_mb for name in names if config.memory_mb is not None} | dict(wishes.memory_mb)
    cpu = {name: config.cpu_millicores for name in names if config.cpu_millicores is not None} | dict(wishes.cpu_millicores)
    return replace(wishes, memory_mb=tuple(memory.items()), cpu_millicores=tuple(cpu.items()))


def build_env(config: SiteConfig, channel: str, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Defaults of variables for the build: those that the channel has not set itself."""
    wishes = config.wishes.changed(dict(config.channels).get(channel, Wishes()))
    return tuple((name, value) for name, value in wishes.env if name not in given)


def told(blueprint: Blueprint, followed: Followed, given: Mapping[str, str]) -> tuple[str, ...]:
    """For the log: what is followed, in a line for each file, and below it what was not."""
    config = followed.config
    lines = [f"{config.file}: {', '.join(_parts(blueprint, config)) or 'nothing that changes anything'}."] if config.file else []
    lines += [f"{name}: {words}." for name, words in followed.counts]
    missing = [name for name in config.required_env if name not in given]
    if missing:
        lines.append(f"  {config.file} asks for variables that are not set: {', '.join(missing[:20])}. Set them with “sitewright env set”.")
    lines += [f"  {problem}" for problem in followed.problems[:MOST_TOLD]]
    if len(followed.problems) > MOST_TOLD:
        lines.append(f"  … and {len(followed.problems) - MOST_TOLD} more.")
    return tuple(lines)


def _parts(blueprint: Blueprint, config: SiteConfig) -> list[str]:
    wishes, rules = config.wishes, config.rules
    crons = sum(1 for name, _ in config.lines if name.startswith("cron-"))
    parts = [
        counted(config.process_count - crons, "process", "es"),
        counted(crons, "cron job", "s"),
        counted(sum(1 for one in rules.redirects if one.status != 200), "redirect", "s"),
        counted(sum(1 for one in rules.redirects if one.status == 200), "rewrite", "s"),
        counted(len(rules.headers), "header rule", "s"),
        counted(len(wishes.env), "variable", "s"),
        f"serves {config.build.output or 'the whole folder'}" if config.build.output is not None else "",
        f"unknown paths show {blueprint.fallback}" if config.spa and blueprint.fallback else "",
        f"missing pages show {rules.not_found}" if rules.not_found else "",
        _sleep(wishes),
        f"differs on {', '.join(name for name, _ in config.channels)}" if config.channels else "",
    ]
    return [part for part in parts if part and not part.startswith("0 ")]


def _sleep(wishes: Wishes) -> str:
    times = [seconds for seconds in (wishes.freeze_after_seconds, wishes.stop_after_seconds) if seconds is not None]
    if not times:
        return ""
    asleep = [seconds for seconds in times if seconds > 0]
    return f"sleeps after {_span(min(asleep))}" if asleep else "never sleeps"


def _span(seconds: float) -> str:
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def counted(count: int, noun: str, plural: str) -> str:
    """“1 redirect”, “2 redirects”."""
    return f"{count} {noun}{'' if count == 1 else plural}"
