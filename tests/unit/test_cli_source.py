"""What --from means, and how it is packed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sitewright.cli.ignore import walk
from sitewright.cli.source import Kind, Source, decide, pack
from sitewright.errors import InvalidValueError


@pytest.mark.parametrize(
    ("words", "where", "ref"),
    [
        ("https://example.org/alice/site.git", "https://example.org/alice/site.git", ""),
        ("https://example.org/alice/site#v2", "https://example.org/alice/site", "v2"),
        ("git@example.org:alice/site.git", "git@example.org:alice/site.git", ""),
        ("ssh://git@example.org/site", "ssh://git@example.org/site", ""),
    ],
)
def test_addresses_are_git(words: str, where: str, ref: str) -> None:
    assert decide(words) == Source(Kind.GIT, where, ref)


def test_a_folder_is_a_folder_and_an_archive_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "site.tar.gz"
    archive.write_bytes(b"")
    assert decide(str(tmp_path)).kind is Kind.FOLDER
    assert decide(str(archive)).kind is Kind.ARCHIVE


@pytest.mark.parametrize("words", ["not-there", "https://example.org/site.zip"])
def test_what_cannot_be_a_source_is_refused_with_advice(words: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        decide(words)
    assert refused.value.resolution


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.docx").write_bytes(b"")
    with pytest.raises(InvalidValueError, match=r"page\.docx"):
        decide(str(tmp_path / "page.docx"))


def test_the_same_folder_packs_to_the_same_bytes_whoever_owns_it_and_whenever(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o700)
    (tmp_path / "big").write_bytes(b"x" * 700_000)
    first = b"".join(pack(tmp_path, list(walk(tmp_path))))
    (tmp_path / "big").touch()
    assert b"".join(pack(tmp_path, list(walk(tmp_path)))) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert {member.name: member.mode for member in tar} == {"run.sh": 0o755, "big": 0o644}


def test_a_file_that_cannot_be_read_is_an_error_and_not_a_short_archive(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="could not be read"):
        list(pack(tmp_path, ["gone"]))


def test_a_container_image_is_named_as_one() -> None:
    assert decide("image:ghcr.io/alice/shop:1.4") == Source(Kind.IMAGE, "ghcr.io/alice/shop:1.4")
