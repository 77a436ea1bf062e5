"""Runs inside a build's sandbox, as the site's user: keep installed dependencies in the site's cache. Arguments: cache folder, fingerprint,
folder to keep. The newest three are kept; package managers' own caches are emptied when all together exceed a gigabyte."""

import os
import shutil
import subprocess
import sys

KEPT = 3
MOST_BYTES = 1024**3


def size(top: str) -> int:
    total = 0
    for folder, _, names in os.walk(top):
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total


def main() -> None:
    cache, fingerprint, folder = sys.argv[1:4]
    os.makedirs(cache, exist_ok=True)
    part = os.path.join(cache, f".{fingerprint}.part")
    subprocess.run(["/usr/bin/tar", "--create", f"--file={part}", "--format=gnu", "--", folder], check=True)
    os.replace(part, os.path.join(cache, f"{fingerprint}.tar"))
    old = sorted((name for name in os.listdir(cache)), key=lambda name: os.lstat(os.path.join(cache, name)).st_mtime)
    for name in old[:-KEPT]:
        os.unlink(os.path.join(cache, name))
    above = os.path.dirname(cache)
    if size(above) > MOST_BYTES:
        for name in os.listdir(above):
            if name != os.path.basename(cache):
                shutil.rmtree(os.path.join(above, name), ignore_errors=True)


main()
