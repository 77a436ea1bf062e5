"""Runs inside a build's sandbox, as the site's user: put links to the channel's data where an app writes beside its code, and write the
shell script that fills them at the start. Arguments: script, folder for what the source brought, files and folders (separated by commas).

The links are relative, so that they lead to the data inside (/app, /data) and for the web server (releases/<n>, data) alike.
"""

import os
import shlex
import sys

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
    os.symlink("../" * (len(parts) + 1) + f"data/app/{path}", path)


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
