"""Runs inside a build's sandbox, as the site's user: put links to the channel's data where an app writes beside its code, and write the
shell script that fills them at the start. Arguments: script, folder for what the source brought, files and folders (separated by commas).

Visitors' files are also served by the web server, which sees releases/<n> and data in other places: those links are relative, with as many
steps up as are needed there (inside, the surplus ones stay at /). All others are absolute: nobody can download a database through them, and
SQLite of 2022 resolves links by itself and refuses to step above /.
"""

import os
import shlex
import sys

SERVED = {"uploads", "upload", "media"}
HEAD = """\
# Made by the build: what the app writes beside its code is kept in the site's data.
kept_file() {
    mkdir -p "$(dirname "/data/app/$1")"
    [ -f "/app/$brought/$1" ] || return 0
    mark="/data/app/.brought/$1"
    if [ -e "/data/app/$1" ] && [ "$(stat -c '%s %Y' "/data/app/$1")" != "$(cat "$mark" 2>/dev/null)" ]; then return 0; fi
    cmp -s "/app/$brought/$1" "/data/app/$1" && return 0
    mkdir -p "$(dirname "$mark")"
    cp "/app/$brought/$1" "/data/app/$1.$SITEWRIGHT_INSTANCE" && chmod u+w "/data/app/$1.$SITEWRIGHT_INSTANCE" &&
        stat -c '%s %Y' "/data/app/$1.$SITEWRIGHT_INSTANCE" > "$mark" && mv "/data/app/$1.$SITEWRIGHT_INSTANCE" "/data/app/$1"
}
kept_folder() {
    mkdir -p "/data/app/$1"
    [ ! -d "/app/$brought/$1" ] || cp -Rn "/app/$brought/$1/." "/data/app/$1/"
}
"""


def link(path: str, brought: str) -> None:
    parts = path.split("/")
    for depth in range(1, len(parts)):
        if os.path.islink("/".join(parts[:depth])):
            return
    if os.path.islink(path):
        return
    if os.path.lexists(path):
        aside = os.path.join(brought, path)
        os.makedirs(os.path.dirname(aside), exist_ok=True)
        os.rename(path, aside)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    up = "../" * (len(parts) + 1) if parts[-1] in SERVED else "/"
    os.symlink(f"{up}data/app/{path}", path)


def main() -> None:
    script, brought, files, folders = sys.argv[1:5]
    os.makedirs(brought, exist_ok=True)
    lines = [HEAD, f"brought={shlex.quote(brought)}\n"]
    for kind, names in (("kept_file", files), ("kept_folder", folders)):
        for path in filter(None, names.split(",")):
            link(path, brought)
            lines.append(f"{kind} {shlex.quote(path)}\n")
    with open(script, "w", encoding="utf-8") as file:
        file.writelines(lines)


main()
