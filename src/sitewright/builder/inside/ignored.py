"""Runs inside a build's sandbox, as the site's user: name the files of the folder /live that its .gitignore leaves out, as JSON, but for
those that builds fill. Standard library only."""

import json
import os
import subprocess

GIT = ("/usr/bin/git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
REPOSITORY = "/tmp/empty.git"
FILLED = frozenset({"node_modules", ".venv", "venv", "__pycache__", ".sitewright", ".git", ".mypy_cache", ".tox", ".pytest_cache"})
MOST = 2000


def main() -> None:
    for folder in ("objects", "refs"):
        os.makedirs(f"{REPOSITORY}/{folder}", exist_ok=True)
    with open(f"{REPOSITORY}/HEAD", "w") as head:
        head.write("ref: refs/heads/main\n")
    os.environ.update(GIT_DIR=REPOSITORY, GIT_WORK_TREE="/live", GIT_INDEX_FILE="/tmp/empty-index", GIT_CONFIG_NOSYSTEM="1")
    os.chdir("/live")
    listed = (*GIT, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
    found = subprocess.run(listed, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout.split(b"\0")
    names = [os.fsdecode(name) for name in found if name and not name.endswith((b"/", b".pyc"))]
    kept = [name for name in names if not FILLED.intersection(name.split("/"))]
    print(json.dumps({"names": kept[:MOST], "more": max(0, len(kept) - MOST)}))


if __name__ == "__main__":
    main()
