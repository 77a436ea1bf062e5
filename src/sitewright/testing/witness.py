"""A deployed site that tells what happened to it, and its owner at the command line."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from sitewright.testing.platform import Platform

AWAKE = "awake"


class Witness:
    """A site made from a copy of *app*, a folder with a file `version`. The platform's CLI does everything that its owner asks for."""

    def __init__(self, platform: Platform, name: str, app: Path, folder: Path) -> None:
        shutil.copytree(app, folder)
        self.platform, self.name, self.folder = platform, name, folder
        self.site = platform.site(name, folder)

    def write(self, version: str, **files: str) -> None:
        """What the next deploy brings; `Procfile="…"` writes a file."""
        (self.folder / "version").write_text(version)
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def create(self, *options: str) -> None:
        """Make the site and wait until it is online."""
        self.platform.cli("sites", "create", self.name, "--from", str(self.folder), *options)

    def deploy(self, version: str, *options: str) -> None:
        """Deploy that version and wait until it is online or on trial."""
        self.write(version)
        self.platform.cli("deploy", str(self.folder), "--site", self.name, *options)

    def ask(self, command: str, *arguments: str) -> str:
        """`sitewright COMMAND NAME …`; what it says."""
        return self.platform.cli(command, self.name, *arguments).stdout

    def delete(self) -> None:
        """Delete the site."""
        self.platform.cli("sites", "delete", self.name, "--confirm", self.name)

    @property
    def data(self) -> Path:
        """What it keeps over releases, on this machine's disk."""
        return self.platform.settings.paths.data(str(self.seen()["id"]), "production")

    def seen(self) -> dict[str, Any]:
        """The site as the API tells it."""
        body: dict[str, Any] = self.platform.api("GET", f"/sites/{self.name}").json()
        return body

    def stage(self) -> str:
        """How deep it sleeps."""
        return str(self.seen()["channel"]["sleep"]["stage"])

    def ready(self, process: str = "web") -> int:
        """How many instances of that process type are ready."""
        items = self.platform.api("GET", f"/sites/{self.name}/instances").json()["items"]
        return Counter((item["process"], item["state"]) for item in items)[process, "ready"]

    def timeline(self) -> list[str]:
        """The words of its timeline, the newest first."""
        return [str(event["text"]) for event in self.platform.api("GET", f"/sites/{self.name}/events").json()["items"]]

    def await_timeline(self, *words: str, seconds: float = 30.0) -> str:
        """The newest line of the timeline that has all *words*. Raises AssertionError."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [line for line in self.timeline() if all(word in line for word in words)]
            return bool(found)

        assert self.site.eventually(there, seconds), f"{words} in {self.timeline()}"
        return found[0]

    def await_stage(self, *stages: str, seconds: float = 30.0) -> None:
        """Return when it sleeps (or wakes) that deep. Raises AssertionError."""
        assert self.site.eventually(lambda: self.stage() in stages, seconds), f"{self.name} is {self.stage()}, not {' or '.join(stages)}"
