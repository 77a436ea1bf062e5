"""The owner's file editor stays inside the site's folder, whatever links the owner's app has laid."""

import base64
import os
from pathlib import Path

import pytest

from sitewright.bus.messages import FileKind, FileQuery, FileWrite
from sitewright.config.settings import Settings
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError
from sitewright.orchestrator.files import MOST_BYTES, LiveFiles, version_of
from sitewright.system.accounts import is_root, tenant_uid
from sitewright.testing.orchestra import SITE_ID

PLACE = {"site_id": SITE_ID, "channel": "production", "number": 7}


@pytest.fixture
def settings(tmp_path_factory):
    home = Path(os.path.realpath(tmp_path_factory.mktemp("home")))
    for folder in (home, *home.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return Settings(home=home)


@pytest.fixture
def root(settings):
    folder = settings.paths.live_folder(SITE_ID, "production")
    folder.mkdir(parents=True)
    if is_root():
        uid = tenant_uid(settings.uid_base, 7)
        os.chown(folder, uid, uid)
    return folder


@pytest.fixture
def files(settings, root):
    files = LiveFiles(settings)
    yield files
    files.close()


def b64(text):
    return base64.b64encode(text.encode()).decode()


async def write(files, path, text, version=""):
    return await files.write(FileWrite(**PLACE, path=path, data=b64(text), version=version))


async def test_a_file_is_written_read_listed_and_deleted_as_the_tenant(files, root, settings):
    written = await write(files, "templates/index.html", "<h1>Hello</h1>")
    assert (root / "templates/index.html").read_text() == "<h1>Hello</h1>"
    assert (root / "templates/index.html").stat().st_uid == tenant_uid(settings.uid_base, 7)
    assert await files.read(FileQuery(**PLACE, path="/templates/index.html")) == written
    listing = await files.list(FileQuery(**PLACE))
    assert [(e.name, e.kind) for e in listing.entries] == [("templates", FileKind.FOLDER)]
    await files.delete(FileQuery(**PLACE, path="templates"))
    assert list(root.iterdir()) == []


async def test_who_has_not_seen_the_newest_version_overwrites_nothing(files, root):
    first = await write(files, "app.py", "one")
    await write(files, "app.py", "two", first.version)
    for version in ("", first.version, "nonsense"):
        with pytest.raises(ConflictError):
            await write(files, "app.py", "three", version)
    assert (root / "app.py").read_text() == "two"
    assert first.version == version_of(b"one")


async def test_an_executable_file_stays_executable(files, root):
    first = await write(files, "run.sh", "#!/bin/sh")
    (root / "run.sh").chmod(0o755)
    await write(files, "run.sh", "#!/bin/sh\n", first.version)
    assert (root / "run.sh").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("path", ["../other", "a/../../b", "..", "x\0y", "n" * 256, "p/" * 600])
async def test_paths_that_no_site_has_are_refused(files, path):
    with pytest.raises(InvalidValueError):
        await files.read(FileQuery(**PLACE, path=path))
    with pytest.raises(InvalidValueError):
        await write(files, path, "x")


async def test_links_that_lead_out_are_not_followed(files, root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("precious")
    (root / "link").symlink_to(secret)
    (root / "out").symlink_to(tmp_path)
    (root / "proc").symlink_to("/proc/self/root/etc")
    for path in ("link", "out/secret", "proc/hostname"):
        with pytest.raises((InvalidValueError, NotFoundError)):
            await files.read(FileQuery(**PLACE, path=path))
    with pytest.raises((InvalidValueError, ConflictError)):
        await write(files, "out/new", "x")
    with pytest.raises((InvalidValueError, NotFoundError)):
        await files.delete(FileQuery(**PLACE, path="out/secret"))
    await files.delete(FileQuery(**PLACE, path="out"))
    assert sorted(p.name for p in tmp_path.iterdir() if p.name == "secret") == ["secret"]
    assert secret.read_text() == "precious"


async def test_a_pipe_laid_in_the_way_holds_nobody_up(files, root):
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidValueError):
        await files.read(FileQuery(**PLACE, path="pipe"))


async def test_a_large_file_is_refused_in_words(files, root):
    (root / "big").write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(InvalidValueError, match="larger than 1 MiB"):
        await files.read(FileQuery(**PLACE, path="big"))


async def test_a_channel_without_a_live_folder_says_so(files):
    with pytest.raises(NotFoundError, match="no live folder"):
        await files.list(FileQuery(site_id="bsite2222222", channel="production", number=7))


@pytest.mark.skipif(not is_root(), reason="another user's files are only kept apart as root")
async def test_a_file_of_somebody_else_inside_the_folder_is_out_of_reach(files, root):
    (root / "planted").write_text("root's own")
    (root / "planted").chmod(0o600)
    with pytest.raises(InvalidValueError):
        await files.read(FileQuery(**PLACE, path="planted"))
