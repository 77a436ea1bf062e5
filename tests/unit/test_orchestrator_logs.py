"""Output becomes lines that can be read from any place, whatever the app writes."""

import asyncio

import pytest

from sitewright.errors import InvalidValueError
from sitewright.orchestrator.logs import FILE_BYTES, KEPT_FILES, LONGEST_LINE, LogStore, Source
from sitewright.system.clock import FakeClock

ARGUMENTS = {"tail": 200, "limit": 1000, "wait_seconds": 0.0}


@pytest.fixture
async def store():
    store = LogStore(FakeClock(1000.0))
    yield store
    store.flush()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs"


async def test_pieces_become_lines_with_time_and_source(store, folder):
    store.register("alice", Source(folder, "web.1"))
    store.feed("alice", b"hel")
    store.feed("alice", b"lo\nwor")
    page = await store.read(folder, "", "", **ARGUMENTS)
    assert [(line.at, line.source, line.text) for line in page.lines] == [(1000.0, "web.1", "hello")]
    store.release("alice")
    page = await store.read(folder, "", page.cursor, **ARGUMENTS)
    assert [line.text for line in page.lines] == ["wor"]


async def test_one_process_can_be_read_alone(store, folder):
    store.register("alice", Source(folder, "web.1"))
    store.register("bob", Source(folder, "worker.1"))
    store.register("charlie", Source(folder, "web-admin.1"))
    for name in ("alice", "bob", "charlie"):
        store.feed(name, name.encode() + b"\n")
    page = await store.read(folder, "web", "", **ARGUMENTS)
    assert [line.text for line in page.lines] == ["alice"]


async def test_bytes_that_are_no_text_and_carriage_returns_do_not_break_reading(store, folder):
    store.register("alice", Source(folder, "web.1"))
    store.feed("alice", b"\xff\xfe 50%\r100%\r\n\n\x00last\n")
    first = await store.read(folder, "", "", tail=0, limit=10, wait_seconds=0.0)
    assert first.lines == ()
    page = await store.read(folder, "", "1:0", **ARGUMENTS)
    assert [line.text for line in page.lines] == ["\ufffd\ufffd 50%\r100%", "", "\x00last"]
    assert page.cursor == first.cursor


async def test_a_line_without_an_end_is_cut(store, folder):
    store.register("alice", Source(folder, "web.1"))
    store.feed("alice", b"x" * (LONGEST_LINE * 2 + 5))
    page = await store.read(folder, "", "", **ARGUMENTS)
    assert [len(line.text) for line in page.lines] == [LONGEST_LINE, LONGEST_LINE]


async def test_a_flood_keeps_a_bounded_number_of_bytes_and_a_reader_goes_on(store, folder):
    store.register("alice", Source(folder, "web.1"))
    early = await store.read(folder, "", "", **ARGUMENTS)
    for _ in range(5 * FILE_BYTES // (1000 * 1000)):
        store.feed("alice", (b"y" * 99 + b"\n") * 10_000)
        store.flush()
    files = sorted(folder.iterdir())
    assert len(files) <= KEPT_FILES
    assert sum(f.stat().st_size for f in files) <= (KEPT_FILES + 1) * FILE_BYTES
    page = await store.read(folder, "", early.cursor, **ARGUMENTS)
    assert len(page.lines) == 1000
    seen, cursor = len(page.lines), page.cursor
    while (page := await store.read(folder, "", cursor, **ARGUMENTS)).lines:
        seen, cursor = seen + len(page.lines), page.cursor
    assert seen == sum(f.read_bytes().count(b"\n") for f in files)


async def test_a_reader_who_waits_is_woken_by_the_next_line(store, folder):
    store.register("alice", Source(folder, "web.1"))
    reading = asyncio.create_task(store.read(folder, "", "1:0", tail=0, limit=10, wait_seconds=20.0))
    await asyncio.sleep(0)
    store.feed("alice", b"here\n")
    async with asyncio.timeout(5):
        assert [line.text for line in (await reading).lines] == ["here"]


async def test_the_tail_is_the_last_lines(store, folder):
    store.register("alice", Source(folder, "web.1"))
    store.feed("alice", b"".join(b"%d\n" % n for n in range(100)))
    assert [line.text for line in store.tail(folder, "web", 3)] == ["97", "98", "99"]


@pytest.mark.parametrize("cursor", ["x", "1", "1:", "-1:0", "1:0:0", "9" * 50])
async def test_a_cursor_from_elsewhere_is_refused(store, folder, cursor):
    with pytest.raises(InvalidValueError):
        await store.read(folder, "", cursor, **ARGUMENTS)


async def test_a_link_in_place_of_the_log_is_not_followed(store, folder, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder.mkdir()
    (folder / "1.log").symlink_to(victim)
    store.register("alice", Source(folder, "web.1"))
    store.feed("alice", b"gotcha\n")
    store.flush()
    assert victim.read_text() == "precious"
