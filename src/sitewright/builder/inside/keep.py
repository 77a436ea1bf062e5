"""Runs inside a build's sandbox, as the site's user: keep installed dependencies in the site's cache. Arguments: cache folder, fingerprint,
folder to keep. The newest three are kept; how much all caches of a site take together is seen to from outside."""

import os
import subprocess
import sys

KEPT = 3


def main() -> None:
    cache, fingerprint, folder = sys.argv[1:4]
    os.makedirs(cache, exist_ok=True)
    # Two channels of a site may be built at once.
    part = os.path.join(cache, f".{fingerprint}.{os.urandom(4).hex()}.part")
    subprocess.run(["/usr/bin/tar", "--create", f"--file={part}", "--format=gnu", "--", folder], check=True)
    os.replace(part, os.path.join(cache, f"{fingerprint}.tar"))
    old = sorted((name for name in os.listdir(cache)), key=lambda name: os.lstat(os.path.join(cache, name)).st_mtime)
    for name in old[:-KEPT]:
        os.unlink(os.path.join(cache, name))


main()
