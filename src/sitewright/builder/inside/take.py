"""Runs inside a sandbox with a network: fetch one branch, tag or commit of a foreign repository. Standard library only.

Arguments: protocol, address, branch, tag or commit ("" is the default branch), the reference to keep it under, the largest pack in bytes.
$SITEWRIGHT_CREDENTIAL is what hooks/askpass answers with.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys

OWN = "fetched"
"""Kept so in a repository that is made for this alone: there the commit by itself is enough."""
LAST = "refs/sitewright/source"
"""Leads to what was fetched last, so that it stays."""
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def fetch(protocol: str, address: str, refspec: str, *, depth: str = "") -> int:
    argv = [
        "/usr/bin/git",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        f"protocol.{protocol}.allow=always",
        "-c",
        "http.followRedirects=initial",
    ]
    argv += ["fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", *([depth] if depth else [])]
    return subprocess.run((*argv, "--", address, refspec), stdin=subprocess.DEVNULL, check=False).returncode


def main() -> None:
    protocol, address, name, kept, most_bytes = sys.argv[1:6]
    most = int(most_bytes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    credential = os.environ.pop("SITEWRIGHT_CREDENTIAL", "")
    if credential:
        with open(os.open("/tmp/credential", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(credential)
        os.environ["GIT_ASKPASS"] = "/platform-git/hooks/askpass"
    if not os.path.isdir(os.path.join(os.environ["GIT_DIR"], "objects")):
        subprocess.run(("/usr/bin/git", "init", "-q", "--bare", "--template=", os.environ["GIT_DIR"]), check=True)
    if not name:
        tries = [("HEAD", "")]
    elif COMMIT.fullmatch(name):
        tries = [(name, "--depth=1" if kept == OWN else ""), ("refs/heads/*", "")]
    else:
        tries = [(f"refs/heads/{name}", ""), (f"refs/tags/{name}", "")]
    target = f"refs/sitewright/{kept}"
    code = 1
    for source, depth in tries:
        code = fetch(protocol, address, f"+{source}:{target}{'/*' if source.endswith('*') else ''}", depth=depth)
        if code == 0:
            break
    if code == 0 and kept != OWN:
        subprocess.run(("/usr/bin/git", "update-ref", LAST, name if COMMIT.fullmatch(name) else target), check=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
