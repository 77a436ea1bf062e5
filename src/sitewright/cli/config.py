"""Looking over a site's configuration files before they are deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitewright.cli.session import JsonOption

if TYPE_CHECKING:
    from sitewright.builder.config.problems import Problem

app = typer.Typer(help="A site's configuration files: sitewright.toml, app.json, _redirects, _headers.", no_args_is_help=True)
KNOWN = ("sitewright.toml", "app.json", "_redirects", "_headers")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="A file, or the folder that holds them.", show_default=False)] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a site's configuration, line by line; nothing is sent anywhere. Ends with 2 when it would not be followed."""
    from sitewright.cli.output import clean, print_json  # noqa: PLC0415

    files = _files(file)
    found = [(path, problem) for path in files for problem in problems_of(path)]
    if as_json:
        items = [
            {"file": str(path), "line": p.line, "message": p.message, "resolution": p.resolution, "warning": p.warning} for path, p in found
        ]
        print_json(items)
    for path, problem in [] if as_json else found:
        where = f"{path}:{problem.line}" if problem.line else str(path)
        words = f"{problem.message} {problem.resolution}".strip()
        typer.echo(clean(f"{where}: {'Warning: ' if problem.warning else ''}{words}"))
    if any(not problem.warning for _, problem in found):
        raise typer.Exit(2)
    if not as_json:
        typer.echo(f"{', '.join(str(path) for path in files)}: {'can be followed' if found else 'right'}.")


def _files(file: Path) -> list[Path]:
    """The file, or those of the folder. Raises InvalidValueError when there is none."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    files = [file / name for name in KNOWN if (file / name).is_file()] if file.is_dir() else [file]
    if not files:
        raise InvalidValueError(
            "There is no configuration file here.", resolution=f"It would be called {', '.join(KNOWN)}; none is needed."
        )
    return files


def problems_of(path: Path) -> tuple[Problem, ...]:
    """What is wrong with one file, by its name: anything else is read as sitewright.toml. Raises InvalidValueError."""
    from sitewright.builder.config.app_json import parse_app_json  # noqa: PLC0415 - only this command needs the builder
    from sitewright.builder.config.headers_file import parse_headers  # noqa: PLC0415
    from sitewright.builder.config.parse import check_config  # noqa: PLC0415
    from sitewright.builder.config.redirects_file import parse_redirects  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"“{path}” cannot be read.", details=str(error), resolution="`sitewright config check FILE`.") from error
    if path.name == "app.json":
        return parse_app_json(text)[1]
    if path.name == "_redirects":
        return parse_redirects(text)[1]
    return parse_headers(text)[1] if path.name == "_headers" else check_config(text)
