"""Every folder in apps/ is deployed by the CLI into the running platform and checked by its own `verify`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform

APPS = sorted(folder for folder in (Path(__file__).parent / "apps").iterdir() if (folder / "verify").exists())


@pytest.mark.parametrize("story", APPS, ids=lambda folder: folder.name)
def test_application_runs(platform: Platform, story: Path, tmp_path: Path) -> None:
    source = tmp_path / story.name
    shutil.copytree(story / "app", source, symlinks=True)
    if (story / "prepare").exists():
        subprocess.run([sys.executable, str(story / "prepare")], cwd=source, check=True, timeout=120)
    site = platform.site(story.name, source)
    platform.cli("sites", "create", site.name, "--from", str(source))
    environment = {
        **platform.environment,
        "VERIFY_NAME": site.name,
        "VERIFY_HOST": site.host,
        "VERIFY_PORT": str(site.port),
        "VERIFY_SOURCE": site.source,
        "VERIFY_CLI": "\x1f".join(site.cli),
    }
    done = subprocess.run(
        [sys.executable, str(story / "verify")], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{platform.cli('logs', site.name, check=False).stdout}"
    platform.cli("sites", "delete", site.name, "--confirm", site.name)
    assert site.eventually(lambda: site.get("/").status_code == 404)
