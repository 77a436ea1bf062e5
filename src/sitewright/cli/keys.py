"""SSH keys: with which of them you come to the SSH door (git, shells, files)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitewright.cli.groups import ListsAlone
from sitewright.cli.session import JsonOption, connected, segment

app = typer.Typer(help="Your SSH keys: `sitewright keys` lists them.", cls=ListsAlone)
LARGEST_BYTES = 16_384


@app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List your keys and when each was last used."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items("/keys"))
    if as_json:
        print_json(items)
        return
    rows = [
        [k.get("id"), k.get("label"), k.get("fingerprint"), when(k.get("last_used_at")) or "never", k.get("last_used_from")] for k in items
    ]
    print_table(("id", "key", "fingerprint", "last used", "from"), rows, empty="You have no key yet. `sitewright keys add` adds one.")


@app.command()
def add(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A public key (.pub); those in ~/.ssh are offered when left out.", dir_okay=False),
    ] = None,
    label: Annotated[str, typer.Option(help="What to call it; the key's own comment when left out.")] = "",
) -> None:
    """Add a public key, so that you can push, and reach your sites by ssh, sftp and rsync."""
    chosen = [file] if file is not None else _offered()
    with connected() as client:
        for path in chosen:
            text, comment = read_key(path)
            added = client.post("/keys", {"public_key": text, "label": label or comment or path.stem})
            typer.echo(f"Added {added.get('label') or path.name} ({added.get('fingerprint') or 'no fingerprint told'}).")


@app.command()
def remove(key: Annotated[str, typer.Argument(metavar="ID", help="The key's id in `sitewright keys`.", show_default=False)]) -> None:
    """Take a key away: nobody comes in with it any more."""
    with connected() as client:
        client.request("DELETE", f"/keys/{segment(key)}")
    typer.echo("The key is gone.")


def read_key(path: Path) -> tuple[str, str]:
    """The key of a .pub file as one line, and its comment. Raises InvalidValueError, above all for a private key: that never leaves."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InvalidValueError(f"“{path.name}” is not a public key.", resolution="Give a file such as ~/.ssh/id_ed25519.pub.")
        text = path.expanduser().read_text(errors="replace").strip()
    except OSError as error:
        raise InvalidValueError(
            f"“{path}” cannot be read.", details=str(error), resolution="Give a file such as ~/.ssh/id_ed25519.pub."
        ) from error
    if "PRIVATE KEY" in text:
        raise InvalidValueError(
            f"“{path.name}” is a private key. Nothing was sent.",
            resolution=f"Give the public half, usually {path.name}.pub; the private one stays with you.",
        )
    words = text.split(None, 2)
    if len(words) < 2 or len(text.splitlines()) != 1:
        raise InvalidValueError(f"“{path.name}” is not one public key.", resolution="Give a file such as ~/.ssh/id_ed25519.pub.")
    return text, words[2] if len(words) > 2 else ""


def _offered() -> list[Path]:
    """The public keys in ~/.ssh that the person at the terminal says yes to; all of them is never assumed. Raises InvalidValueError."""
    import sys  # noqa: PLC0415

    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    found = sorted((Path.home() / ".ssh").glob("*.pub"))
    if not found:
        raise InvalidValueError("There is no public key in ~/.ssh.", resolution="Make one with `ssh-keygen -t ed25519`, then try again.")
    if len(found) == 1 and not sys.stdin.isatty():
        return found
    if not sys.stdin.isatty():
        raise InvalidValueError("There is more than one public key in ~/.ssh.", resolution=f"Name one: {', '.join(map(str, found))}.")
    chosen = [path for path in found if typer.confirm(f"Add {path}?", default=len(found) == 1)]
    if not chosen:
        raise InvalidValueError("No key was added.", resolution="Name a file: `sitewright keys add FILE`.")
    return chosen
