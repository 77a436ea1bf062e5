"""Runs inside the box beside git: what a folder holds that a commit does not, and a commit of it. Standard library only.

Arguments: `edits COMMIT`, or `commit PARENT BRANCH MESSAGE` ("" for none). The folder is /app. Prints one line of JSON.

The index is a private one that is thrown away, so that nothing of it is anybody else's to change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

GIT = ("/usr/bin/git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.excludesFile=/platform-git/excludes")
MOST_FILES = 2000
NOTHING = "0" * 40


class Failed(Exception):  # noqa: N818 - it reads so where it is raised
    """git said no."""


def git(*arguments: str) -> bytes:
    done = subprocess.run((*GIT, *arguments), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Failed(lines[-1][:300] if lines else f"git {arguments[0]} ended with {done.returncode}")
    return done.stdout


def shown(path: bytes) -> str:
    text = path.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "�" for letter in text)[:1000]


def pairs(data: bytes) -> list[tuple[str, str]]:
    """Kind and path of what --name-status -z says."""
    fields = data.split(b"\0")
    return [(fields[at].decode()[:1], shown(fields[at + 1])) for at in range(0, len(fields) - 1, 2)]


def edits(commit: str) -> dict[str, object]:
    if commit:
        git("read-tree", commit)
    subprocess.run((*GIT, "update-index", "-q", "--refresh"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    found = [(kind if kind in "MD" else "M", path) for kind, path in pairs(git("diff-files", "-z", "--name-status", "--no-renames"))]
    new = git("ls-files", "-z", "--others", "--exclude-standard").split(b"\0")
    found += [("A", shown(path)) for path in new if path]
    found.sort(key=lambda one: one[1])
    return {"files": found[:MOST_FILES], "more": max(0, len(found) - MOST_FILES)}


def commit(parent: str, branch: str, message: str) -> dict[str, object]:
    if parent:
        git("read-tree", parent)
    git("add", "-A", "--", ".")
    tree = git("write-tree").decode().strip()
    if parent and git("rev-parse", f"{parent}^{{tree}}").decode().strip() == tree:
        return {"commit": parent, "files": 0}
    changed = git("diff-tree", "-r", "-z", "--name-only", "--no-renames", parent or "4b825dc642cb6eb9a060e54bf8d69288fbee4904", tree)
    made = git("commit-tree", *(("-p", parent) if parent else ()), "-m", message, tree).decode().strip()
    if branch:
        try:
            git("update-ref", f"refs/heads/{branch}", made, parent or NOTHING)
        except Failed as failed:
            return {"moved": str(failed)}
    return {"commit": made, "files": changed.count(b"\0")}


def main() -> None:
    os.environ.update(GIT_WORK_TREE="/app", GIT_INDEX_FILE=f"/tmp/index-{os.getpid()}")
    os.chdir("/app")
    try:
        result = edits(sys.argv[2]) if sys.argv[1] == "edits" else commit(*sys.argv[2:5])
    except Failed as failed:
        result = {"problem": str(failed)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
