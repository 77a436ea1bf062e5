"""A whole platform of its own, started as a person would, with sites to measure."""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.servers import free_port
from benchmarks.rig.visits import Api, Visitor
from sitewright.testing.platform import Platform

ROOT = Path(__file__).parents[2]

FLASK = """from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return "{version}"
"""


@dataclass(frozen=True)
class Stand:
    """A running platform. ``folder`` is for what measurements make; it is gone afterwards."""

    platform: Platform
    folder: Path

    @property
    def port(self) -> int:
        """Of the router."""
        return self.platform.settings.http_port

    def host(self, site: str) -> str:
        """The site's own host name."""
        return f"{site}.{self.platform.settings.domain}"

    def visitor(self, site: str) -> Visitor:
        """A visitor of a site."""
        return Visitor(self.port, self.host(site))

    def api(self) -> Api:
        """The API as the machine's own user."""
        token = self.platform.settings.paths.local_token.read_text().strip()
        return Api(self.port, self.platform.settings.manager_host, token)

    def settle(self, site: str, *, seconds: float = 120.0) -> None:
        """Return when no operation of the site goes on. Raises TimeoutError."""
        api = self.api()
        deadline = time.monotonic() + seconds
        while api.call("GET", f"/sites/{site}")["operation"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"an operation of {site} did not end within {seconds:.0f} s")
            time.sleep(0.05)
        api.close()


@contextmanager
def stand() -> Iterator[Stand]:
    """Start a platform, and stop it after the block. Sites run as users of their own, so everybody may pass through its folder."""
    with tempfile.TemporaryDirectory(prefix="sitewright-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        platform = Platform(ROOT / "sitewright", home=folder / "home", port=free_port(), ssh_port=free_port())
        try:
            platform.start()
            yield Stand(platform, folder)
        finally:
            platform.stop()


def flask_app(folder: Path, version: str) -> Path:
    """A Flask app that answers with its version; returns its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(FLASK.format(version=version))
    (folder / "requirements.txt").write_text("flask\ngunicorn\n")
    return folder


def static_site(folder: Path, version: str) -> Path:
    """A static site of one page, a style and forty other files; returns its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(f"<!doctype html><title>bench</title><p>{version}</p>\n")
    (folder / "style.css").write_text("p { color: teal }\n")
    for number in range(40):
        (folder / f"page{number}.html").write_text(f"<!doctype html><title>page {number}</title>\n" + "<p>text</p>\n" * 200)
    return folder


def packed(folder: Path) -> bytes:
    """The folder as a tar.gz, as a browser or a program would send it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=".")
    return target.getvalue()
