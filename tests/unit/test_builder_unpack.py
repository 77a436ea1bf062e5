"""Archives as people and attackers make them. The script runs as it does inside the sandbox: a process in an empty folder."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sitewright.builder import inside

SCRIPT = Path(inside.__file__).with_name("unpack.py")
Answer = dict[str, object]


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Answer]:
    """Unpack bytes into ``tmp_path``/tree."""

    def run(data: bytes, most_bytes: int = 10_000_000, most_files: int = 1000) -> Answer:
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "archive").write_bytes(data)
        argv = [sys.executable, "-I", SCRIPT, tmp_path / "archive", str(most_bytes), str(most_files)]
        done = subprocess.run(argv, cwd=tmp_path / "tree", capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr.decode()
        answer: Answer = json.loads(done.stdout)
        return answer

    return run


def tar_of(*entries: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


PAGE = ("index.html", b"<h1>Alice</h1>")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_usual_tar_is_read(tmp_path: Path, unpack: Callable[..., Answer], mode: str) -> None:
    assert unpack(tar_of(PAGE, ("css/a.css", b"a{}"), mode=mode)) == {"files": 2, "bytes": 17, "top": ""}
    assert (tmp_path / "tree/css/a.css").read_bytes() == b"a{}"


def test_a_zip_is_read_and_a_single_top_folder_goes_away(tmp_path: Path, unpack: Callable[..., Answer]) -> None:
    answer = unpack(zip_of(("my site/index.html", b"hi"), ("my site/a/b.txt", b""), ("__MACOSX/x", b"junk"), ("my site/.git/config", b"x")))
    assert answer["top"] == "my site"
    assert sorted(str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*")) == ["a", "a/b.txt", "index.html"]


def test_a_zip_made_on_windows_has_folders(tmp_path: Path, unpack: Callable[..., Answer]) -> None:
    assert "message" not in unpack(zip_of(("css\\a.css", b"a{}"), PAGE))
    assert (tmp_path / "tree/css/a.css").is_file()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tar_of(("../evil", b"x")), "climbs out"),
        (tar_of(("/etc/evil", b"x")), "climbs out"),
        (tar_of(("a/../../evil", b"x")), "climbs out"),
        (zip_of(("..\\evil", b"x")), "climbs out"),
        (zip_of(("C:\\evil", b"x")), "climbs out"),
        (zip_of(("../evil", b"x")), "climbs out"),
        (tar_of(member("link", tarfile.SYMTYPE, "/etc/passwd"), PAGE), "link that leads out"),
        (tar_of(member("link", tarfile.SYMTYPE, "../../etc"), PAGE), "link that leads out"),
        (
            tar_of(member("top/here", tarfile.SYMTYPE, "."), member("top/out", tarfile.SYMTYPE, "here/here/../.."), ("top/a", b"")),
            "leads out",
        ),
        (tar_of(member("link", tarfile.SYMTYPE, "elsewhere"), ("link/evil", b"x")), "same name twice"),
        (tar_of(member("link", tarfile.LNKTYPE, "../../etc/passwd")), "climbs out"),
        (tar_of(member("link", tarfile.LNKTYPE, "nowhere")), "hard link"),
        (tar_of(member("disk", tarfile.BLKTYPE)), "device"),
        (tar_of(member("pipe", tarfile.FIFOTYPE)), "device"),
        (tar_of(PAGE, PAGE), "same name twice"),
        (tar_of(("a", b""), ("a/b", b"")), "same name twice"),
        (tar_of(("x" * 300, b"")), "too long"),
        (b"this is no archive", "cannot be read"),
        (tar_of(PAGE)[:-20], "cannot be read"),
        (b"", "cannot be read"),
        (zip_of(), "is empty"),
        (tar_of((".git/config", b"")), "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # the bytes hold the time of day
)
def test_what_cannot_be_used_is_refused_in_words_and_leaves_nothing(
    tmp_path: Path, unpack: Callable[..., Answer], data: bytes, words: str
) -> None:
    answer = unpack(data)
    assert words in str(answer.get("message"))
    assert list((tmp_path / "tree").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "tree"]


def test_the_entry_that_climbs_out_is_named(unpack: Callable[..., Answer]) -> None:
    assert "../../evil.txt" in str(unpack(tar_of(PAGE, ("../../evil.txt", b"x")))["details"])


def test_links_inside_and_hard_links_to_earlier_files_are_kept(tmp_path: Path, unpack: Callable[..., Answer]) -> None:
    answer = unpack(
        tar_of(("a/page.html", b"x"), member("b/link", tarfile.SYMTYPE, "../a/page.html"), member("copy", tarfile.LNKTYPE, "a/page.html"))
    )
    assert "message" not in answer
    assert (tmp_path / "tree/b/link").read_text() == "x"
    assert (tmp_path / "tree/copy").stat().st_nlink == 1


def test_too_many_files_and_too_many_bytes_are_refused(unpack: Callable[..., Answer]) -> None:
    assert "more than 3 files" in str(unpack(tar_of(*((str(number), b"") for number in range(5))), most_files=3)["message"])
    assert "holds more than" in str(unpack(tar_of(("big", b"x" * 2_000_000)), most_bytes=1_048_576)["message"])


def test_a_bomb_is_stopped_long_before_it_has_grown(tmp_path: Path, unpack: Callable[..., Answer]) -> None:
    answer = unpack(zip_of(("bomb", b"\0" * 200_000_000)), most_bytes=1_000_000_000)
    assert "200 times" in str(answer["message"])
    assert list((tmp_path / "tree").iterdir()) == []


def test_an_encrypted_zip_is_refused(unpack: Callable[..., Answer]) -> None:
    data = bytearray(zip_of(PAGE))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert "encrypted" in str(unpack(bytes(data))["message"])


def test_executable_files_stay_so_and_set_user_id_bits_go(tmp_path: Path, unpack: Callable[..., Answer]) -> None:
    run = tarfile.TarInfo("run")
    run.mode = 0o6755
    unpack(tar_of(run, PAGE))
    assert (tmp_path / "tree/run").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "tree/index.html").stat().st_mode & 0o7777 == 0o644
