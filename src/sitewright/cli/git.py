"""How to push to a site: its remote, in the repository of the folder one is in."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from sitewright.cli.session import JsonOption, SiteArgument, connected, site_path

REMOTE = "sitewright"


def git(
    name: SiteArgument,
    https: Annotated[bool, typer.Option("--https", help="Push over HTTPS, with a token, instead of SSH.")] = False,
    remote: Annotated[str, typer.Option(metavar="NAME", help="What to call the remote.")] = REMOTE,
    show: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the site as a remote to the git repository of this folder; `git push sitewright main` deploys from then on."""
    from sitewright.cli.output import print_json  # noqa: PLC0415

    with connected() as client:
        site = client.get(site_path(name))
    told = site.get("git") or {}
    addresses = {"ssh": str(told.get("ssh") or ""), "https": str(told.get("https") or "")}
    address = addresses["https" if https else "ssh"] or addresses["https"]
    if as_json:
        print_json(addresses)
        return
    if show or not _inside_repository():
        typer.echo(address)
        if not show:
            typer.echo(f"This folder is no git repository. `git init && git remote add {remote} {address}` makes it one.", err=True)
        return
    new = set_remote(remote, address)
    branch = told.get("default_branch") or "main"
    typer.echo(f"The remote {remote} is {address}\nDeploy with: git push {remote} {branch}")
    if new and site.get("release"):
        typer.echo(
            f"{name} has code already. To go on from it: git pull {remote} {branch}. To replace it: git push --force {remote} {branch}"
        )


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    """git in this folder, as its owner typed it. Raises InvalidValueError when git is not installed."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    try:
        return subprocess.run(["git", *words], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError as error:
        raise InvalidValueError(
            "git is not installed here.", resolution="Install git, or add --print and use the address elsewhere."
        ) from error


def _inside_repository() -> bool:
    return _git("rev-parse", "--git-dir").returncode == 0


def set_remote(remote: str, address: str) -> bool:
    """Make or change a remote of this folder's repository; whether it is a new one. Raises InvalidValueError."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    there = _git("remote", "get-url", "--", remote).returncode == 0
    done = _git("remote", "set-url" if there else "add", "--", remote, address)
    if done.returncode:
        raise InvalidValueError(
            "The remote could not be set.", details=done.stderr.strip(), resolution=f"Set it yourself: git remote add {remote} {address}"
        )
    return not there
