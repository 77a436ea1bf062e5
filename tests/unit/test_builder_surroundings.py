"""What a build gets from the machine: package addresses, runtimes, folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sitewright.builder.mirrors import network_environment
from sitewright.builder.survey import survey
from sitewright.config.settings import Settings
from sitewright.errors import BuildError
from sitewright.system import packages
from sitewright.system.ownership import make_folder, make_site_folders
from sitewright.system.packages import RUNTIMES, Packages, Runtime, is_present, php_version
from sitewright.system.processes import Completed


def found(settings: Settings, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    return dict(network_environment(settings, environment, home))


def test_the_settings_decide_where_packages_come_from(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, package_index="https://mirror.example.org/simple", npm_registry="https://mirror.example.org/npm")
    env = found(settings, {"PIP_INDEX_URL": "https://other.example.org"}, tmp_path)
    assert env["UV_DEFAULT_INDEX"] == env["PIP_INDEX_URL"] == "https://mirror.example.org/simple"
    assert env["NPM_CONFIG_REGISTRY"] == "https://mirror.example.org/npm"


def test_without_a_setting_the_machines_own_configuration_is_used(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\nindex-url = https://pip.example.org/simple\n")
    (tmp_path / ".npmrc").write_text("fund=false\nregistry=https://npm.example.org/\n")
    env = found(Settings(home=tmp_path), {}, tmp_path)
    assert env["UV_DEFAULT_INDEX"] == "https://pip.example.org/simple"
    assert env["NPM_CONFIG_REGISTRY"] == "https://npm.example.org/"


@pytest.mark.parametrize("address", ["https://alice:secret@mirror.example.org/simple", "file:///srv/simple", "nonsense"])
def test_passwords_and_folders_of_the_operator_are_not_passed_on(tmp_path: Path, address: str) -> None:
    assert "UV_DEFAULT_INDEX" not in found(Settings(home=tmp_path), {"PIP_INDEX_URL": address}, tmp_path)


class Apt:
    """Plays apt-get: makes the program appear when told to install."""

    def __init__(self, makes: Path | None) -> None:
        self.makes = makes
        self.calls: list[str] = []

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        self.calls.append(argv[1])
        if self.makes is not None:
            self.makes.touch()
        return Completed(0 if self.makes else 100, b"", b"" if self.makes else b"E: Unable to locate package")


@pytest.fixture
def cobol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "cobol"
    monkeypatch.setitem(RUNTIMES, "cobol", Runtime("cobol", (str(program).lstrip("/"),), ("gnucobol",)))
    monkeypatch.setattr(packages, "is_root", lambda: True)
    return program


async def test_a_missing_runtime_is_installed_once(cobol: Path) -> None:
    apt, said = Apt(cobol), list[str]()
    installer = Packages(apt, allowed=True)
    await installer.ensure("cobol", said.append)
    await installer.ensure("cobol", said.append)
    assert apt.calls == ["install"]
    assert len(said) == 1


async def test_a_runtime_that_cannot_be_installed_names_the_one_command(cobol: Path) -> None:
    apt = Apt(None)
    with pytest.raises(BuildError) as caught:
        await Packages(apt, allowed=True).ensure("cobol", lambda _text: None)
    assert apt.calls == ["install", "update", "install"]
    assert "apt-get install gnucobol" in caught.value.resolution
    assert "Unable to locate" in caught.value.details


async def test_where_installing_is_not_allowed_only_the_command_is_named(cobol: Path) -> None:
    apt = Apt(cobol)
    with pytest.raises(BuildError, match="needs cobol"):
        await Packages(apt, allowed=False).ensure("cobol", lambda _text: None)
    assert apt.calls == []


def test_the_newest_php_is_found_by_number(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    for name in ("php-fpm8.2", "php-fpm8.10", "php-fpm8.2-debug"):
        (tmp_path / "usr/sbin" / name).touch()
    assert php_version(tmp_path) == "8.10"
    assert not is_present(RUNTIMES["php"], tmp_path)


def test_a_sites_folders_can_be_entered_by_its_owner_and_the_router_only(tmp_path: Path) -> None:
    paths = Settings(home=tmp_path / "home").paths
    make_site_folders(paths, "asite2222222", "production", os.geteuid())
    for folder in (paths.site("asite2222222"), paths.data("asite2222222", "production"), paths.live_folder("asite2222222", "production")):
        assert folder.stat().st_mode & 0o777 == 0o750
    assert paths.home.stat().st_mode & 0o777 == 0o711


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        make_folder(tmp_path / "link", 0o700)


def test_a_survey_reads_no_link_no_pipe_and_no_name_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("swordfish")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "requirements.txt").symlink_to("../secret")
    (tree / "folder").symlink_to("..")
    os.mkfifo(tree / "Procfile")
    (tree / os.fsdecode(b"\xff.py")).touch()
    (tree / "new\nline.py").touch()
    (tree / "a/b/app.py").write_text("x")
    (tree / "node_modules").mkdir()
    (tree / "node_modules/index.html").touch()
    summary = survey(tree)
    assert summary.files == ("a/b/app.py",)
    assert dict(summary.texts) == {"a/b/app.py": "x"}
