"""Everything that sitewright.toml may say: the one definition that reading, the JSON schema and the reference page are made from. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitewright.builder.config import values
from sitewright.builder.config.values import Kind

FILE = "sitewright.toml"


@dataclass(frozen=True)
class Key:
    """One key with a value."""

    kind: Kind
    about: str
    example: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Table:
    """A table. ``named``: its keys are names that the owner chooses, and each holds this; ``free``: each holds a value of that kind.
    ``many``: written `[[name]]`, any number of them. ``short``: the key that a plain value stands for, as in `web = "command"`."""

    about: str
    keys: dict[str, Key | Table] = field(default_factory=dict)
    named: Table | None = None
    free: Kind | None = None
    many: bool = False
    short: str = ""
    example: str = ""


_HEALTH = Table(
    "When an instance counts as ready and as alive.",
    {
        "path": Key(values.HEALTH_PATH, "Asked with GET; without it any answer to `/` will do.", '"/healthz"'),
        "start": Key(values.DURATION, "How long it may take until it is ready.", '"60 s"'),
        "every": Key(values.DURATION, "How often it is asked.", '"30 s"'),
        "timeout": Key(values.DURATION, "How long one answer may take.", '"10 s"'),
        "failures": Key(values.FAILURES, "After so many failed answers it is started again.", "3"),
    },
)
_PROCESS = Table(
    "",
    {
        "command": Key(values.COMMAND, "What runs; without it the Procfile's, or what was found.", '"gunicorn app:app"'),
        "instances": Key(values.COPIES, "How many copies run.", "2"),
        "memory": Key(values.MEMORY, "What each copy may take.", '"256 MB"'),
        "cpu": Key(values.CPU, "Processors that each copy may use.", "0.5"),
        "health": _HEALTH,
    },
    short="command",
)
_SLEEP = Table(
    "What happens when nobody visits. Within what the plan allows.",
    {
        "after": Key(values.DURATION, "Idle time after which it is frozen in memory.", '"30 min"'),
        "stop_after": Key(values.DURATION, "Idle time after which it is stopped.", '"2 h"'),
        "never": Key(values.FLAG, "It never sleeps (on plans that are always on).", "false"),
    },
)
_ENV = Table(
    "Defaults of variables; those that are set for the channel go before them. Never secrets: this file is in the repository.",
    free=values.VARIABLE,
    example='[env]\nFLASK_DEBUG = "0"',
)

ROOT = Table(
    "",
    {
        "build": Table(
            "How it is built.",
            {
                "command": Key(
                    values.COMMAND, "Runs after the dependencies are installed, in place of the usual build.", '"npm run build"'
                ),
                "output": Key(values.FOLDER, "The folder that is served after the build.", '"dist"'),
                "root": Key(
                    values.FOLDER, "The folder of the repository that is the site; all else is left out. Released sites only.", '"apps/web"'
                ),
                "dockerfile": Key(
                    values.FOLDER,
                    "Build the container image that this file describes, in place of what would be found; where the platform runs images.",
                    '"Dockerfile"',
                ),
                "versions": Table(
                    "Which versions of the runtimes will do. A platform has one of each: what does not fit is said before anything runs.",
                    {
                        "python": Key(values.VERSION, "", '">=3.11"'),
                        "node": Key(values.VERSION, "", '"20"'),
                        "php": Key(values.VERSION, "", '">=8.2"'),
                    },
                ),
            },
        ),
        "processes": Table(
            "What runs, by name: `web` answers visitors, `release` runs once before a release goes live, all others run beside.",
            named=_PROCESS,
            example='[processes]\nworker = "python worker.py"\n\n[processes.web]\ncommand = "gunicorn app:app"\ninstances = 2',
        ),
        "cron": Table(
            "What runs at its times, by name.",
            named=Table(
                "",
                {
                    "schedule": Key(values.SCHEDULE, "When.", '"30 3 * * *"', needed=True),
                    "command": Key(values.COMMAND, "What.", '"python tidy.py"', needed=True),
                    "timezone": Key(values.TIMEZONE, "Whose clock; UTC without it.", '"Europe/Berlin"'),
                    "overlap": Key(values.FLAG, "The next run may begin while the one before still goes on.", "false"),
                    "memory": Key(values.MEMORY, "What a run may take.", '"128 MB"'),
                    "cpu": Key(values.CPU, "Processors that a run may use.", "0.5"),
                },
            ),
            example='[cron.tidy]\nschedule = "30 3 * * *"\ntimezone = "Europe/Berlin"\ncommand = "python tidy.py"',
        ),
        "sleep": _SLEEP,
        "resources": Table(
            "What every process may use that does not say otherwise.",
            {
                "memory": Key(values.MEMORY, "", '"256 MB"'),
                "cpu": Key(values.CPU, "", "1"),
            },
        ),
        "env": _ENV,
        "pages": Table(
            "How files are served.",
            {
                "spa": Key(values.SPA, "A single-page app: unknown paths show this file with status 200.", "true"),
                "not_found": Key(values.FILE, "The page for what is missing; without it `404.html`.", '"errors/404.html"'),
            },
        ),
        "headers": Table(
            "Headers of answers to matching paths. All rules that match hold; the later one of a name wins.",
            {
                "path": Key(values.PATTERN, "", '"/*"', needed=True),
                "values": Key(values.TEXTS, "", '{ X-Frame-Options = "DENY" }', needed=True),
            },
            many=True,
        ),
        "redirects": Table(
            "Where visitors are led. The first rule that matches counts; a file of that name comes first, unless `force` is set.",
            {
                "from": Key(values.PATTERN, "", '"/old/*"', needed=True),
                "to": Key(values.TARGET, "`:name` and `:splat` are filled in.", '"/new/:splat"', needed=True),
                "status": Key(values.STATUS, "301 without it.", "301"),
                "force": Key(values.FLAG, "Also where a file is.", "false"),
                "query": Key(values.TEXTS, "Parameters that have to be there; `:name` takes what is given.", '{ id = ":id" }'),
            },
            many=True,
        ),
        "rewrites": Table(
            "Another file, or for apps another of their paths, is shown under this address.",
            {
                "from": Key(values.PATTERN, "", '"/app/*"', needed=True),
                "to": Key(values.TARGET, "A path of the site.", '"/index.html"', needed=True),
                "force": Key(values.FLAG, "Also where a file is.", "false"),
            },
            many=True,
        ),
        "cache": Table(
            "How long browsers may keep what matches a path: patterns and `Cache-Control` in words. An app's own `Cache-Control` stays.",
            free=values.LIFE,
            example='[cache]\n"/assets/*" = "immutable"\n"/*.html" = "revalidate"',
        ),
        "channels": Table(
            "What differs on a channel, by its name.",
            named=Table(
                "",
                {
                    "processes": Table(
                        "",
                        named=Table("", {name: key for name, key in _PROCESS.keys.items() if name in {"instances", "memory", "cpu"}}),
                    ),
                    "sleep": _SLEEP,
                    "env": _ENV,
                },
            ),
            example='[channels.staging.sleep]\nafter = "5 min"\n\n[channels.staging.processes.web]\ninstances = 1',
        ),
    },
)
