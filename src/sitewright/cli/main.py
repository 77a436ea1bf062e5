"""The command `sitewright`.

Exit codes: 0 done · 1 failed · 2 wrong use or a value that is not allowed · 3 not signed in · 4 no such thing · 5 not allowed to you ·
6 changed by somebody else at the same time · 7 quota used up · 8 the platform does not answer · 9 the build failed ·
10 this machine is not ready · 11 the operation failed · 130 ended by Ctrl-C. `sitewright exec` and `run` end with the code of the
command.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sitewright import __version__
from sitewright.cli import (
    account,
    builds,
    canary,
    channels,
    config,
    cron,
    deploy,
    env,
    execute,
    freeze,
    git,
    keys,
    logs,
    machine,
    operations,
    plans,
    publish,
    releases,
    repositories,
    scale,
    settings,
    sites,
    sleep,
    templates,
)
from sitewright.cli.session import ForChannel
from sitewright.errors import SitewrightError

EXIT_CODES = (
    (0, "It is done."),
    (1, "It failed."),
    (2, "Wrong use, or a value that is not allowed."),
    (3, "Not signed in."),
    (4, "There is no such thing, or it is not yours to see."),
    (5, "Your role does not allow it."),
    (6, "Somebody or something else changed it at the same time."),
    (7, "The team's quota is used up."),
    (8, "The platform, or a part of it, does not answer."),
    (9, "The build failed."),
    (10, "This machine is not ready for `up`."),
    (11, "The operation failed or was cancelled."),
    (130, "Ended by Ctrl-C."),
)

app = typer.Typer(
    name="sitewright",
    help="Host websites: from a browser, a folder or git.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sitewright {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Host websites: from a browser, a folder or git."""


for command in (machine.up, machine.restart, machine.down, machine.doctor, machine.status):
    app.command(rich_help_panel="The platform")(command)
for command in (account.login, account.logout, account.whoami, plans.plans):
    app.command(rich_help_panel="You")(command)
app.add_typer(keys.app, name="keys", rich_help_panel="You")
app.add_typer(sites.app, name="sites", rich_help_panel="Sites")
for of_site in (templates.templates, deploy.deploy, deploy.rollback):
    app.command(rich_help_panel="Sites")(of_site)
app.add_typer(releases.app, name="releases", rich_help_panel="Sites")
app.add_typer(canary.app, name="canary", rich_help_panel="Sites")
for with_channel in (scale.scale, sleep.sleep, settings.settings):
    app.command(rich_help_panel="Sites", cls=ForChannel)(with_channel)
for running in (sleep.wake, cron.cron, logs.logs):
    app.command(rich_help_panel="Sites")(running)
for name, remote in (("exec", execute.execute), ("run", execute.run)):
    words = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(name, rich_help_panel="Sites", context_settings=words)(remote)
app.add_typer(env.app, name="env", rich_help_panel="Sites")
app.command("open", rich_help_panel="Sites")(sites.open_site)
app.add_typer(operations.app, name="operations", rich_help_panel="Sites")

for of_code in (git.git, repositories.branches, publish.edits, publish.publish):
    app.command(rich_help_panel="Code")(of_code)
for elsewhere in (repositories.connect, repositories.fetch, repositories.disconnect):
    app.command(rich_help_panel="Code")(elsewhere)
app.add_typer(repositories.deliveries, name="deliveries", rich_help_panel="Code")
app.add_typer(builds.app, name="builds", rich_help_panel="Code")
app.command(rich_help_panel="Code")(builds.queue)
app.add_typer(config.app, name="config", rich_help_panel="Code")

app.add_typer(channels.app, name="channels", rich_help_panel="Channels")
for of_channel in (channels.promote, freeze.freeze, freeze.unfreeze):
    app.command(rich_help_panel="Channels")(of_channel)
app.add_typer(repositories.previews, name="previews", rich_help_panel="Channels")


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except SitewrightError as error:
        from sitewright.cli.output import print_error  # noqa: PLC0415

        print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe has gone, as `| head` does: not an error.
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
