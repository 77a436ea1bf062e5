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


def test_only_the_addresss_own_protocol_is_allowed() -> None:
    address = git.GitAddress("https://alice:se%2Fcret@example.org:8443/x.git")
    assert dict(git.environment(address))["GIT_ALLOW_PROTOCOL"] == "http:https"
    assert address.credential == ("alice", "se/cret")
    assert address.server == "https://example.org:8443"


@pytest.mark.parametrize("text", ["git@example.org:team/x.git", "ssh://git@example.org/team/x.git"])
def test_ssh_is_an_address_where_it_is_allowed(text: str) -> None:
    assert git.GitAddress(text, allow_ssh=True) == "ssh://git@example.org/team/x.git"


@pytest.mark.parametrize("text", ["-oProxyCommand=x@h:y", "git@-h:x", "ssh://-h/x", "ssh://-u@h/x", "ssh:///x"])
def test_no_ssh_address_is_an_option(text: str) -> None:
    with pytest.raises(InvalidValueError):
        git.GitAddress(text, allow_ssh=True)
