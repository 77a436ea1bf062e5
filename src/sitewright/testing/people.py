"""The people of a running platform, each with a home folder, a token, an SSH key and the real programs: git, ssh, sftp, the CLI.

`python -m sitewright.testing.people` makes their accounts; it runs as the manager's user, with the platform's settings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sitewright.system.accounts import is_root, manager_account
from sitewright.testing.platform import Platform

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Person:
    """Somebody at a machine of their own. ``home`` holds the key and everything that they work on."""

    name: str
    token: str
    home: Path
    platform: Platform

    @property
    def key(self) -> Path:
        """The private half of the SSH key."""
        return self.home / ".ssh" / "id_ed25519"

    @property
    def email(self) -> str:
        """The address of the account, and of the commits."""
        return f"{self.name}@example.org"

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """What every OpenSSH program is given: this key only, nothing of the machine's own configuration, no questions."""
        known = f"UserKnownHostsFile={self.home}/.ssh/known_hosts"
        options = ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=accept-new", known, "ConnectTimeout=10")
        return ("-F", "none", "-i", str(self.key), *(word for option in options for word in ("-o", option)))

    @property
    def environment(self) -> dict[str, str]:
        """Of the programs: the person's own home, token and key; nothing of the machine's git configuration."""
        own = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "SITEWRIGHT_URL": self.platform.settings.url(self.platform.settings.manager_host),
            "SITEWRIGHT_TOKEN": self.token,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": " ".join(("ssh", *self.ssh_options)),
        }
        return own | {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in self._identity.items()}

    @property
    def _identity(self) -> Mapping[str, str]:
        return {"NAME": self.name.capitalize(), "EMAIL": self.email}

    def run(self, *argv: str, folder: Path | None = None, check: bool = True, seconds: float = 120.0, stdin: str = "") -> Done:
        """Run a program. With *check*, raises AssertionError with everything it said when it fails."""
        done = subprocess.run(
            argv,
            cwd=folder or self.home,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def cli(self, *words: str, check: bool = True, folder: Path | None = None) -> Done:
        """The command line, signed in with this person's token."""
        return self.run(str(self.platform.program), *words, check=check, folder=folder)

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One API request with this person's token; *path* is below /api/v1."""
        return self.platform.api(method, path, headers={"authorization": f"Bearer {self.token}"}, **options)

    def ssh(
        self, who: str, *command: str, options: tuple[str, ...] = (), check: bool = True, stdin: str = "", seconds: float = 60.0
    ) -> Done:
        """`ssh WHO@HOST COMMAND` through the door."""
        port = ("-p", str(self.platform.settings.ssh_port))
        argv = ("ssh", *self.ssh_options, *port, *options, f"{who}@localhost", *command)
        return self.run(*argv, check=check, stdin=stdin, seconds=seconds)

    def add_key(self) -> None:
        """Make a key and tell the platform its public half."""
        self.key.parent.mkdir(mode=0o700)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{self.name}@laptop", "-f", str(self.key))
        self.cli("keys", "add", str(self.key.with_suffix(".pub")))


class Code:
    """A person's working copy of a site's code."""

    def __init__(self, person: Person, site: str, name: str = "") -> None:
        self.person, self.site, self.folder = person, site, person.home / (name or site)

    def begin(self, files: Mapping[str, str], *, https: bool = False) -> None:
        """A new repository with these files and the site as its remote."""
        self.folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.remember_token()
        self.commit("The beginning", files)
        self.person.cli("git", self.site, *(("--https",) if https else ()), folder=self.folder)

    def remember_token(self) -> None:
        """git over HTTPS asks this helper for the token, as it would ask a keyring."""
        helper = f'!f() {{ echo username={self.person.name}; echo "password=$SITEWRIGHT_TOKEN"; }}; f'
        self.git("config", "credential.helper", helper)

    def git(self, *words: str, check: bool = True, seconds: float = 120.0) -> Done:
        """git in the working copy."""
        return self.person.run("git", *words, folder=self.folder, check=check, seconds=seconds)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the working copy."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, subject: str, files: Mapping[str, str]) -> str:
        """Write these files and commit everything; the commit's id."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.head()

    def head(self) -> str:
        """The present commit's id."""
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, *words: str, check: bool = True, seconds: float = 180.0) -> Done:
        """`git push sitewright …`; what the platform says is on standard error."""
        return self.git("push", "sitewright", *(words or ("main",)), check=check, seconds=seconds)

    def refs(self) -> dict[str, str]:
        """What the site's repository shows: names and commits."""
        lines = self.git("ls-remote", "sitewright").stdout.splitlines()
        return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}


def assemble(platform: Platform, homes: Path) -> dict[str, Person]:
    """Everybody of the cast on a running platform: Alice, Bob and Vera share the team `choir`, Charlie is a stranger."""
    account = manager_account()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sitewright.testing.people"],
        env={**platform.environment, "HOME": str(platform.settings.paths.database.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=account.uid if is_root() else None,
        group=account.gid if is_root() else None,
        extra_groups=[] if is_root() else None,
    )
    assert done.returncode == 0, done.stderr
    people = {}
    for name, token in json.loads(done.stdout).items():
        (homes / name).mkdir(parents=True, mode=0o700)
        people[name] = Person(name, token, homes / name, platform)
    return people


def await_it(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Return when *condition*() is true. Raises AssertionError that names *what*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        time.sleep(0.05)


def main() -> None:
    """Make the accounts and print {name: token}."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")
    import django  # noqa: PLC0415

    django.setup()
    from sitewright.testing.cast import assemble as make  # noqa: PLC0415 - its models need Django's settings

    cast = make()
    users = {"alice": cast.alice, "bob": cast.bob, "vera": cast.vera, "charlie": cast.charlie}
    print(json.dumps({name: cast.token(user) for name, user in users.items()}))


if __name__ == "__main__":
    main()
