"""Writes the reference pages of the command line and the settings: `python -m sitewright.cli.reference FOLDER`.

CI compares what it writes with what is committed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from sitewright.cli.main import EXIT_CODES, app
from sitewright.config.settings import Settings


def _usage(parameter: Any) -> str:
    """How a parameter is written."""
    if parameter.param_type_name == "argument":
        name = (parameter.metavar or parameter.name.upper()).strip("[]")
        return f"`{name}`" if parameter.required else f"`[{name}]`"
    names = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    takes_value = not getattr(parameter, "is_flag", False)
    return f"{names} {parameter.metavar or _value(parameter)}" if takes_value else names


def _value(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "|".join(kind)
    return "NUMBER" if kind is int else "TEXT"


def _default(parameter: Any) -> str:
    shown = getattr(parameter, "show_default", False)
    if isinstance(shown, str):
        return shown
    value = parameter.default
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value not in ("", 0) else ""


def _command(path: str, command: Any) -> Iterator[str]:
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    arguments = " ".join(_usage(p).strip("`") for p in parameters if p.param_type_name == "argument")
    yield f"### `{' '.join(part for part in (path, '[OPTIONS]' if parameters else '', arguments) if part)}`\n"
    yield f"{(command.help or '').strip()}\n"
    if parameters:
        yield "| | | default |\n|---|---|---|"
        for parameter in parameters:
            note = (getattr(parameter, "help", "") or "").replace("|", "\\|")
            yield f"| {_usage(parameter).replace('|', chr(92) + '|')} | {note} | {_default(parameter)} |"
        yield ""


def _commands(path: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield f"## `{path} {name}`\n"
            yield f"{command.help}\n"
            yield from _commands(f"{path} {name}", command)
        else:
            yield from _command(f"{path} {name}", command)


def cli_page() -> str:
    """docs/reference/cli.md."""
    root = typer.main.get_command(app)
    single = {name: command for name, command in root.commands.items() if not hasattr(command, "commands")}  # type: ignore[attr-defined]
    groups = {name: command for name, command in root.commands.items() if hasattr(command, "commands")}  # type: ignore[attr-defined]
    lines = [
        "# The command line\n",
        "Made from the program by `make docs`; change it there.\n",
        "`./sitewright` at the root of the repository installs the program the first time and is the command from then on. Every listing "
        "takes `--json`. Output for people goes to standard output, progress and errors to standard error.\n",
        "## Which platform\n",
        "`SITEWRIGHT_URL` (with `SITEWRIGHT_TOKEN`), else the platform of `SITEWRIGHT_HOME` on this machine, else the one signed in to "
        "last, else this machine's own. The user who ran `up` needs no signing in on the machine itself.\n",
        "## Commands\n",
    ]
    for name, command in single.items():
        lines += _command(f"sitewright {name}", command)
    for name, command in groups.items():
        lines += [f"## `sitewright {name}`\n", f"{command.help}\n", *_commands(f"sitewright {name}", command)]
    lines += ["## Exit codes\n", "| code | meaning |\n|---|---|", *(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES)]
    lines += ["\n`sitewright exec` and `sitewright run` end with the exit code of the command that they ran."]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/reference/settings.md."""
    lines = [
        "# Settings\n",
        "Made from the program by `make docs`; change it there. Each is a variable in the environment of `sitewright up`, which hands "
        "them to its parts.\n",
        "| variable | default | meaning |\n|---|---|---|",
    ]
    shown = {"home": "/var/lib/sitewright as root, else ~/.local/share/sitewright"}
    for name, field in Settings.model_fields.items():
        value = "" if field.default is None else field.default
        default = shown.get(name, str(value).lower() if isinstance(value, bool) else str(value))
        lines.append(f"| `SITEWRIGHT_{name.upper()}` | {default} | {(field.description or '').replace('<', '&lt;')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both pages into the folder named by the first argument."""
    os.environ["COLUMNS"] = "120"
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
