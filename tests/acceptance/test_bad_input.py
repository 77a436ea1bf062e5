"""What people get wrong: each time a clear error, the previous release keeps running, nothing is lost."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

GOOD = "from flask import Flask\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'the good release'\n"


@pytest.fixture(scope="module")
def good_site(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    source = tmp_path_factory.mktemp("good")
    (source / "app.py").write_text(GOOD)
    (source / "requirements.txt").write_text("flask\n")
    platform.cli("sites", "create", "steady", "--from", str(source))
    site = platform.site("steady", source)
    assert site.get("/").text == "the good release"
    yield site
    platform.cli("sites", "delete", "steady", "--confirm", "steady")


def refused(platform: Platform, site: VisitedSite, source: Path, *words: str) -> None:
    """Deploying *source* fails, says all *words*, and the good release still answers."""
    done = platform.cli("deploy", str(source), "--site", site.name, check=False)
    said = (done.stdout + done.stderr).lower()
    assert done.returncode != 0, said
    assert "traceback (most recent call last)" not in done.stderr.lower()
    for word in words:
        assert word.lower() in said, f"“{word}” is missing in:\n{said}"
    assert site.get("/").text == "the good release"


def flask_app(folder: Path, code: str, **files: str) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(code)
    (folder / "requirements.txt").write_text("flask\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_broken_archive(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    archive = tmp_path / "site.tar.gz"
    archive.write_bytes(b"\x1f\x8b this is no archive at all")
    refused(platform, good_site, archive, "archive")


def test_truncated_zip(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", "x" * 100_000)
    (tmp_path / "site.zip").write_bytes(buffer.getvalue()[:-30])
    refused(platform, good_site, tmp_path / "site.zip", "archive")


def test_archive_with_a_path_that_climbs_out(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "site.tar.gz", "w:gz") as archive:
        for name in ("index.html", "../../../../tmp/escaped"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"evil"))
    refused(platform, good_site, tmp_path / "site.tar.gz", "../../../../tmp/escaped")
    assert not Path("/tmp/escaped").exists()


def test_archive_with_a_link_that_leads_out(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "site.tar", "w") as archive:
        link = tarfile.TarInfo("shadow")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/shadow"
        archive.addfile(link)
    refused(platform, good_site, tmp_path / "site.tar", "shadow")


def test_name_of_300_characters(platform: Platform) -> None:
    done = platform.cli("sites", "create", "a" * 300, "--template", "static", check=False)
    assert done.returncode == 2
    assert "300 characters" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["admin", "Adm1n", "adm1n", "-x", "a--b", "xn--80ak6aa92e", "a_b", "a.b", "../x", "ä"])
def test_names_that_are_refused(platform: Platform, name: str) -> None:
    done = platform.cli("sites", "create", "--template", "static", "--", name, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "traceback" not in done.stderr.lower()


def test_missing_start_command(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "requirements.txt").write_text("requests\n")
    (folder / "notes.py").write_text("print('no web app here')\n")
    refused(platform, good_site, folder, "Procfile")


def test_requirement_that_does_not_exist(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    folder = flask_app(tmp_path / "app", GOOD)
    (folder / "requirements.txt").write_text("flask\nthis-package-is-not-there-at-all==9.9.9\n")
    refused(platform, good_site, folder, "this-package-is-not-there-at-all", "requirements.txt")


def test_app_that_crashes_at_start(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    refused(
        platform,
        good_site,
        flask_app(tmp_path / "app", "raise RuntimeError('no luck today')\nfrom flask import Flask\napp = Flask(__name__)\n"),
        "no luck today",
    )


def test_app_that_never_listens(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Procfile").write_text("web: sleep 3600\n")
    (folder / "index.html").write_text("x")
    platform.cli("env", "set", good_site.name, "STARTUP_NOTE=1")
    refused(platform, good_site, folder, "listen")


def test_release_command_that_fails(platform: Platform, good_site: VisitedSite, tmp_path: Path) -> None:
    folder = flask_app(tmp_path / "app", GOOD, Procfile="web: gunicorn app:app\nrelease: echo the migration is broken && exit 3\n")
    (folder / "requirements.txt").write_text("flask\ngunicorn\n")
    refused(platform, good_site, folder, "the migration is broken")


def test_git_address_that_does_not_answer(platform: Platform) -> None:
    done = platform.cli("sites", "create", "nowhere", "--from", "https://127.0.0.1:1/nothing.git", check=False)
    assert done.returncode != 0
    assert "127.0.0.1" in done.stdout + done.stderr
    platform.cli("sites", "delete", "nowhere", "--confirm", "nowhere", check=False)
