"""/config/check and /config/schema, and /sites/{name}/config: configuration in the repository."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from sitewright.builder.config.parse import LONGEST_FILE, check_config
from sitewright.builder.config.problems import Problem
from sitewright.builder.config.schema import json_schema
from sitewright.domain.pages import Wishes
from sitewright.domain.release import Blueprint
from sitewright.domain.states import Role
from sitewright.manager.api.auth import person
from sitewright.manager.sites.access import channels_for
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.blueprints import blueprint_of

checks = Router(tags=["configuration"])
router = Router(tags=["configuration"])


class ConfigText(Schema):
    """The text of a sitewright.toml."""

    text: str = Field(max_length=LONGEST_FILE)


class ProblemOut(Schema):
    """What is wrong, and on which line; a ``warning`` does not keep the file from being followed."""

    file: str
    line: int
    message: str
    resolution: str
    warning: bool


class ConfigCheck(Schema):
    """``ok``: a release with this file would be built."""

    ok: bool
    problems: list[ProblemOut]


class HeaderRuleOut(Schema):
    """Headers of answers to matching paths."""

    path: str
    headers: dict[str, str]


class RedirectOut(Schema):
    """Where visitors of matching paths are led; with 200, 404 and 410 what they are shown."""

    path: str
    target: str
    status: int
    force: bool
    query: dict[str, str]


class WishesOut(Schema):
    """What the configuration asks for, before the owner's own settings and the plan's bounds. A viewer sees names of variables only."""

    instances: dict[str, int]
    memory_mb: dict[str, int]
    cpu_millicores: dict[str, int]
    freeze_after_seconds: float | None
    stop_after_seconds: float | None
    env: dict[str, str | None]


class SiteConfigOut(Schema):
    """What the release that visitors get follows. ``file`` is "" when there is none; pages' rules may come from _redirects and _headers."""

    file: str
    release: int | None
    redirects: list[RedirectOut]
    headers: list[HeaderRuleOut]
    fallback: str
    not_found: str
    wishes: WishesOut
    commands: dict[str, str]
    health: dict[str, str]


def problem_out(problem: Problem) -> ProblemOut:
    """A problem for the API."""
    return ProblemOut(file=problem.file, line=problem.line, message=problem.message, resolution=problem.resolution, warning=problem.warning)


@checks.post("/check", response=ConfigCheck, operation_id="checkConfig")
def check(request: HttpRequest, body: ConfigText) -> ConfigCheck:
    """What is wrong with a sitewright.toml; nothing is deployed."""
    person(request)
    problems = check_config(body.text)
    return ConfigCheck(ok=all(problem.warning for problem in problems), problems=[problem_out(problem) for problem in problems])


@checks.get("/schema", response=dict[str, Any], operation_id="getConfigSchema")
def schema(request: HttpRequest) -> dict[str, Any]:
    """The JSON schema of sitewright.toml, for editors."""
    person(request)
    return json_schema()


@router.get("/{name}/config", response=SiteConfigOut, operation_id="getConfig")
def show(request: HttpRequest, name: str, channel: str = CHANNEL) -> SiteConfigOut:
    """The configuration that a channel's release follows."""
    row = asked_channel(request, name, channel)
    blueprint = blueprint_of(row.release.blueprint) if row.release is not None else Blueprint(pack="", stack="")
    values = channels_for(person(request), Role.DEVELOPER).filter(pk=row.pk).exists()
    return config_out(blueprint, row.name, row.release.number if row.release is not None else None, values=values)


def config_out(blueprint: Blueprint, channel: str, release: int | None, *, values: bool) -> SiteConfigOut:
    """What a blueprint says of its configuration, for one channel; *values*: also those of variables."""
    rules = blueprint.rules
    return SiteConfigOut(
        file=blueprint.config,
        release=release,
        redirects=[
            RedirectOut(path=one.path, target=one.target, status=one.status, force=one.force, query=dict(one.query))
            for one in rules.redirects
        ],
        headers=[HeaderRuleOut(path=one.path, headers=dict(one.headers)) for one in rules.headers],
        fallback=blueprint.fallback,
        not_found=rules.not_found,
        wishes=_wishes_out(blueprint.wishes_for(channel), values=values),
        commands={process.type: process.own_words for process in blueprint.processes},
        health={process.type: process.health.path for process in blueprint.processes if process.health.path},
    )


def _wishes_out(wishes: Wishes, *, values: bool) -> WishesOut:
    return WishesOut(
        instances=dict(wishes.count),
        memory_mb=dict(wishes.memory_mb),
        cpu_millicores=dict(wishes.cpu_millicores),
        freeze_after_seconds=wishes.freeze_after_seconds,
        stop_after_seconds=wishes.stop_after_seconds,
        env={name: value if values else None for name, value in wishes.env},
    )
