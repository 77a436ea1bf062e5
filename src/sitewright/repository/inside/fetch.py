"""Runs inside a box with a network: fetch branches and tags of a foreign repository. Standard library only.

Its input is one line of JSON: url, protocol, server, refs, user, password, ssh_key, known_hosts, most_bytes. So neither a key nor a
password is ever in an argument or a variable; they lie in the box's own memory and end with it. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

ASKPASS = "/platform-git/hooks/askpass"
SECRET, KEY, HOSTS = "/tmp/credential", "/tmp/key", "/tmp/known_hosts"
REMOTE = "refs/sitewright/remote/"
MOST_REFS = 2000
UNCLEAN = 129


class Failed(Exception):  # noqa: N818 - it reads so where it is raised
    """git said no."""


def keep(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def prepare(told: dict[str, str]) -> None:
    if told["password"]:
        keep(SECRET, json.dumps({name: told[name] for name in ("server", "user", "password")}))
        os.environ["GIT_ASKPASS"] = ASKPASS
    if told["protocol"] == "ssh":
        keep(HOSTS, told["known_hosts"])
        keep(KEY, told["ssh_key"].rstrip("\n") + "\n")
        checking = "yes" if told["known_hosts"] else "accept-new"
        options = (
            *("-F", "/dev/null", "-i", KEY, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={HOSTS}"),
            *(
                "-o",
                f"StrictHostKeyChecking={checking}",
                "-o",
                "ConnectTimeout=20",
                "-o",
                "HashKnownHosts=no",
                "-o",
                "ClearAllForwardings=yes",
            ),
        )
        os.environ["GIT_SSH_COMMAND"] = " ".join(("/usr/bin/ssh", *options))
        os.environ["GIT_SSH_VARIANT"] = "ssh"


def git(protocol: str, *arguments: str) -> str:
    settings = (f"protocol.{protocol}.allow=always", "http.followRedirects=initial", "http.lowSpeedLimit=1", "http.lowSpeedTime=60")
    argv = ["/usr/bin/git", *(part for setting in settings for part in ("-c", setting))]
    done = subprocess.run((*argv, *arguments), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        raise Failed("\n".join(lines[-4:])[:800] or f"git ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def refspecs(wanted: list[str]) -> list[str]:
    if not wanted:
        return [f"+refs/heads/*:{REMOTE}heads/*", f"+refs/tags/*:{REMOTE}tags/*"]
    return [f"+{name}:{REMOTE}{name.removeprefix('refs/')}" for name in wanted]


def fetch(told: dict[str, object]) -> dict[str, object]:
    protocol, url = str(told["protocol"]), str(told["url"])
    wanted = [str(name) for name in told["refs"]]  # type: ignore[attr-defined]
    default = ""
    if not wanted:
        listed = git(protocol, "ls-remote", "--symref", "--", url, "HEAD").splitlines()
        default = next((line.split("\t")[0].removeprefix("ref: ") for line in listed if line.startswith("ref: ")), "")
    options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", *(() if wanted else ("--prune",)))
    git(protocol, "fetch", *options, "--", url, *refspecs(wanted))
    form = "--format=%(objectname) %(*objectname) %(refname)"
    names = [f"{REMOTE}{name.removeprefix('refs/')}" for name in wanted] or [REMOTE]
    found = {}
    for line in git(protocol, "for-each-ref", f"--count={MOST_REFS}", "--sort=-creatordate", form, *names).splitlines():
        commit, peeled, name = line.split(" ", 2)
        found["refs/" + name.removeprefix(REMOTE)] = peeled or commit
    return {"refs": found, "default_branch": default.removeprefix("refs/heads/"), "known_hosts": learned(told)}


def learned(told: dict[str, object]) -> str:
    if told["protocol"] != "ssh":
        return ""
    with open(HOSTS, encoding="utf-8") as file:
        return file.read()


def main() -> None:
    told = json.loads(sys.stdin.readline())
    resource.setrlimit(resource.RLIMIT_FSIZE, (told["most_bytes"], told["most_bytes"]))
    prepare(told)
    try:
        result = fetch(told)
    except Failed as failed:
        result = {"problem": str(failed)}
    print(json.dumps(result), flush=True)
    # As one that was killed: what it has left half done is swept.
    sys.exit(UNCLEAN if "problem" in result else 0)


if __name__ == "__main__":
    main()
