"""Runs inside the box, as the site's user: remove what a killed git has left, and pack and prune. Standard library only.

Arguments: `sweep`, or `tidy` and how many bytes the repository may take. Nobody else writes to the repository during a sweep; to tidy,
git can do beside others. Prints one line of JSON: what was removed, and whether it was packed.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import time

REPOSITORY = "/repo.git"
PASSING = ("refs/sitewright/pushes", "refs/sitewright/fetching")
OLD_SECONDS_OF_PASSING = 6 * 3600
"""No operation lasts so long: whoever pushed it was killed before it could take its reference back."""
MOST_PACKS, MOST_LOOSE = 20, 2000
OLD_SECONDS = 7 * 86400
FULL = 0.8
NOTE = "tidied"


def sweep() -> int:
    """Locks, quarantined packs and unfinished files; how many."""
    found = [path for place in ("*.lock", "refs/**/*.lock", "objects/info/*.lock") for path in glob.glob(place, recursive=True)]
    for place in ("objects/tmp_objdir-*", "objects/incoming-*", "objects/pack/tmp_*", "objects/pack/.tmp-*", "objects/??/tmp_obj_*"):
        found += glob.glob(place)
    for path in found:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
    return len(found)


def expire(now: float) -> int:
    """Hidden references of pushes and fetches that have ended somehow; how many. Packed ones have no age: what they lead to is young
    enough to stay without them."""
    hidden = tuple(f"{place}/" for place in PASSING)
    old = [name for name in (line.rpartition(" ")[2] for line in packed()) if name.startswith(hidden)]
    for folder, _, names in (found for place in PASSING for found in os.walk(place)):
        old += [f"{folder}/{name}" for name in names if now - os.lstat(os.path.join(folder, name)).st_mtime > OLD_SECONDS_OF_PASSING]
    for name in old:
        subprocess.run(("/usr/bin/git", "update-ref", "-d", name), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return len(old)


def packed() -> list[str]:
    try:
        with open("packed-refs", encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def size() -> int:
    total = 0
    for folder, _, names in os.walk("."):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def wants(now: float, most_bytes: int) -> str:
    """How old unreachable objects must be to go; "" when there is nothing to do."""
    packs = len(glob.glob("objects/pack/*.pack"))
    loose = len(glob.glob("objects/??/*"))
    if size() > FULL * most_bytes:
        return "2.hours.ago"
    last = os.stat(NOTE).st_mtime if os.path.exists(NOTE) else 0.0
    return "3.days.ago" if packs > MOST_PACKS or loose > MOST_LOOSE or (packs + loose > 1 and now - last > OLD_SECONDS) else ""


def tidy(most_bytes: int) -> dict[str, object]:
    now = time.time()
    result: dict[str, object] = {"expired": expire(now), "packed": False}
    until = wants(now, most_bytes)
    if until:
        argv = ("/usr/bin/git", "-c", "gc.reflogExpire=now", "gc", "-q", f"--prune={until}")
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        result["packed"] = done.returncode == 0
        result["problem"] = done.stderr.decode("utf-8", "replace")[-300:] if done.returncode else ""
        with open(NOTE, "w", encoding="utf-8"):
            pass
    return result


def main() -> None:
    os.chdir(REPOSITORY)
    print(json.dumps(tidy(int(sys.argv[2])) if sys.argv[1] == "tidy" else {"swept": sweep()}))


if __name__ == "__main__":
    main()
