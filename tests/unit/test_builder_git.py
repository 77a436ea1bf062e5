"""What may be asked of git."""

from __future__ import annotations

import pytest

from sitewright.commands import git
from sitewright.errors import InvalidValueError


@pytest.mark.parametrize(
    "text",
    [
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "file:///etc",
        "/etc",
        "ssh://example.org/x",
        "git@example.org:x/y.git",
        "https://",
        "https://a b",
        "http://[::1",
        "https://example.org/\n--x",
        "",
        "https://example.org/" + "x" * 3000,
    ],
)
def test_only_plain_addresses_with_a_host_are_taken(text: str) -> None:
    with pytest.raises(InvalidValueError):
        git.GitAddress(text)


def test_a_file_address_needs_the_operators_word() -> None:
    assert git.GitAddress("file:///srv/x.git", allow_file=True).protocol == "file"


def test_a_password_in_an_address_is_not_shown() -> None:
    assert git.GitAddress("https://alice:secret@example.org/x.git").shown == "https://example.org/x.git"


@pytest.mark.parametrize(
    "text", ["-x", "--upload-pack=x", "a..b", "a b", "@{-1}", "x.lock", "a/", "x" * 300, "a;b", "a\nb", "~1", "a^b", "a:b"]
)
def test_a_ref_is_not_an_option_nor_an_expression(text: str) -> None:
    with pytest.raises(InvalidValueError):
        git.GitRef(text)


@pytest.mark.parametrize("text", ["", "main", "v1.2.3", "feature/x-y_z", "0" * 40])
def test_branches_tags_and_commits_are_taken(text: str) -> None:
    assert git.GitRef(text) == text


def test_a_clone_allows_one_protocol_and_no_hooks_or_submodules() -> None:
    address = git.GitAddress("https://example.org/x.git")
    argv = git.clone(address, git.GitRef("main"), "/app")
    assert argv[-4:] == ("main", "--", "https://example.org/x.git", "/app")
    assert {"protocol.allow=never", "protocol.https.allow=always", "core.hooksPath=/dev/null", "--no-recurse-submodules"} <= set(argv)
    assert dict(git.environment(address))["GIT_ALLOW_PROTOCOL"] == "http:https"
