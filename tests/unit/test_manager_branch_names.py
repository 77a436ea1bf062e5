"""Names of branches that people type: what git would take and the platform, too."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from sitewright.errors import InvalidValueError
from sitewright.manager.sites.branch_names import check_branch_name

GOOD = ["main", "staging", "alice/new-menu", "release/1.2", "v1.0_x", "feature/at@home", "a" * 200]
BAD = [
    *("", "-x", "--upload-pack=x", "a..b", ".hidden", "a/.b", "a.lock", "a/b.lock", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b"),
    *("/a", "a/", "a//b", "a.", "@{x}", "a\nb", "a\x7f", "ä", "a" * 201),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_usual_name_is_taken(name: str) -> None:
    check_branch_name(name)


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError):
        check_branch_name(name)


@pytest.mark.parametrize("name", GOOD)
def test_git_takes_what_the_platform_takes(name: str) -> None:
    git = shutil.which("git")
    assert git, "git is needed: apt-get install git"
    assert subprocess.run([git, "check-ref-format", "--branch", name], capture_output=True, check=False).returncode == 0
