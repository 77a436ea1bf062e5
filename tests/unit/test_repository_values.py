"""What git is asked for in a repository, and what its answers become."""

from __future__ import annotations

import configparser

import pytest

from sitewright.bus.messages import RepositoryFetch
from sitewright.commands import git_repository as commands
from sitewright.domain.git import RefUpdate
from sitewright.errors import InvalidValueError
from sitewright.repository import parse
from sitewright.repository.fetch import address_of, explained, without_secrets
from sitewright.repository.pushes import Asked, one_line, problem_of, shown, updates_of

OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    "name",
    [
        *("main", "refs/heads/", "refs/heads", "heads/main", "refs/heads/a..b", "refs/heads/a b", "refs/heads/.x", "refs/heads/x.lock"),
        *(
            "refs/heads/x/.y",
            "refs/heads/a//b",
            "refs/heads/a~1",
            "refs/heads/a:b",
            "refs/heads/a\nb",
            "refs/heads/a\x1b[31m",
            "refs/heads/x.",
        ),
        *(
            "refs/heads/@{-1}",
            "refs/heads/a\\b",
            "refs/heads/[x",
            "refs/heads/\ud800",
            "refs/heads/" + "x" * 300,
            "refs/../x/y",
            "refs/heads/x/",
        ),
    ],
)
def test_names_that_no_reference_may_have_are_refused(name: str) -> None:
    assert not commands.is_ref_name(name)
    with pytest.raises(InvalidValueError):
        commands.ref_name(name)


@pytest.mark.parametrize("name", ["refs/heads/main", "refs/heads/feature/ü-1", "refs/tags/v1.2", "refs/pull/7/head", "refs/heads/-x"])
def test_names_that_git_allows_are_taken(name: str) -> None:
    assert commands.ref_name(name) == name


def test_moves_are_one_transaction_with_every_old_value() -> None:
    told = commands.moves((RefUpdate("refs/heads/a", OLD, NEW), RefUpdate("refs/heads/b", "", NEW), RefUpdate("refs/heads/c", OLD, "")))
    assert told.decode().splitlines() == [
        "start",
        f"update refs/heads/a {NEW} {OLD}",
        f"update refs/heads/b {NEW} {'0' * 40}",
        f"delete refs/heads/c {OLD}",
        "prepare",
        "commit",
    ]
    with pytest.raises(InvalidValueError):
        commands.moves((RefUpdate("refs/heads/a\ncommit", OLD, NEW),))
    with pytest.raises(InvalidValueError):
        commands.moves((RefUpdate("refs/heads/a", "HEAD", NEW),))


def test_the_configuration_keeps_hooks_protocols_and_hidden_references_ours() -> None:
    parser = configparser.ConfigParser(strict=False)
    parser.read_string(commands.configuration().replace("\t", ""))
    assert parser["core"]["hookspath"] == "/platform-git/hooks"
    assert parser["protocol"]["allow"] == "never"
    assert parser["transfer"]["hiderefs"] == "refs/sitewright"
    assert parser["receive"]["procreceiverefs"] == "refs"
    assert parser["receive"]["fsckobjects"] == "true"


@pytest.mark.parametrize(
    ("given", "kept"), [("version=2", "version=2"), ("version=2:side=1", "version=2:side=1"), ("x; y", ""), ("version=2\n", "")]
)
def test_only_what_git_sends_is_taken_for_a_protocol(given: str, kept: str) -> None:
    assert commands.Protocol(given) == kept


def test_a_service_is_served_with_its_limits() -> None:
    argv = commands.serve(commands.Serving("receive-pack", stateless=True, most_bytes=1000))
    assert argv == ("/usr/bin/git", "-c", "receive.maxInputSize=1000", "receive-pack", "--stateless-rpc", "/repo.git")
    argv = commands.serve(commands.Serving("upload-pack", stateless=True, advertise=True))
    assert argv == ("/usr/bin/git", "upload-pack", "--strict", "--stateless-rpc", "--http-backend-info-refs", "/repo.git")


def test_an_authors_name_cannot_be_two() -> None:
    told = dict(commands.committer("Alice <x>\nauthor Bob", "alice@example.org>"))
    assert told["GIT_AUTHOR_NAME"] == "Alice xauthor Bob"
    assert told["GIT_AUTHOR_EMAIL"] == "alice@example.org"
    assert told["GIT_COMMITTER_NAME"] == "Sitewright"


def test_references_lead_to_commits_tags_too() -> None:
    commit = ("commit", OLD, "Alice", "<alice@example.org>", "1700000000", "One")
    nothing = ("",) * 6
    tag = ("tag", NEW, "", "", "", "v1")
    tree = ("tree", NEW, "", "", "", "")
    data = "\n".join(
        "\0".join((name, *first, *second)) + "\0"
        for name, first, second in (
            ("refs/heads/main", commit, nothing),
            ("refs/tags/v1", tag, commit),
            ("refs/tags/odd", tree, nothing),
        )
    )
    found = parse.refs(data.encode() + b"\n")
    assert [(ref.name, ref.commit.id, ref.commit.author, ref.commit.at) for ref in found] == [
        ("refs/heads/main", OLD, "Alice <alice@example.org>", 1700000000.0),
        ("refs/tags/v1", OLD, "Alice <alice@example.org>", 1700000000.0),
    ]


def test_changes_are_counted_and_cut() -> None:
    raw = f":100644 100644 {OLD} {NEW} M\0a\0:000000 100644 {OLD} {NEW} A\0b\nc\0"
    files, more = parse.file_changes(f"{raw}1\t2\ta\0-\t-\tb\nc\0".encode(), 10)
    assert [(file.path, file.kind, file.added, file.removed) for file in files] == [("a", "M", 1, 2), ("b�c", "A", -1, -1)]
    assert more == 0
    files, more = parse.file_changes(f"{raw}1\t2\ta\0".encode(), 1)
    assert (len(files), more) == (1, 1)


def test_a_subject_cannot_steer_a_screen() -> None:
    (commit,) = parse.commits(f"{OLD}\0A <a>\x001\0red\x1b[31m\0".encode())
    assert commit.subject == "red�[31m"


def test_what_a_hook_asks_is_read_and_judged() -> None:
    zero = "0" * 40
    asked = Asked.read(
        [
            f"update\t{zero}\t{NEW}\t0\trefs/heads/x".encode(),
            b"update\t%s\t%s\t1\trefs/heads/\xff" % (OLD.encode(), NEW.encode()),
            b"option\tstash",
            b"atomic",
        ]
    )
    assert problem_of(asked) == ""
    assert (asked.options, asked.atomic) == (("stash",), True)
    good, bad = updates_of(asked)
    assert good == (RefUpdate("refs/heads/x", "", NEW),)
    assert [report.accepted for report in bad] == [False]
    assert problem_of(Asked.read([f"update\t{OLD}\tHEAD\t0\trefs/heads/x".encode()]))
    assert problem_of(Asked.read([f"update\t{OLD}\t{NEW}\t0\trefs/sitewright/x".encode()]))
    with pytest.raises(ValueError, match="unpack"):
        Asked.read([b"update\tx"])


def test_lines_keep_their_colours_and_nothing_else() -> None:
    assert shown("\x1b[32mok\x1b[0m\x1b[2J\x07 x\r\n") == "\x1b[32mok\x1b[0m[2J x"
    assert one_line("a\nb " + "c" * 300).endswith("…")
    assert one_line("") == "refused"


def test_a_fetch_takes_no_password_in_its_address_and_shows_none() -> None:
    request = RepositoryFetch(site_id="asite2222222", number=1, url="https://a:b@example.org/x.git")
    with pytest.raises(InvalidValueError):
        address_of(request, allow_file=False)
    from sitewright.bus.messages import Credential

    assert without_secrets("bad s3cret", Credential(password="s3cret")) == "bad …"
    assert explained("fatal: Authentication failed for 'https://x'") == "It does not let us in."
