"""Builds wait for memory, but not for ever; what they may take is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sitewright.builder.allowance import LEFT_FREE_BYTES, PATIENCE_SECONDS, build_limits, granted, memory_limit, short_of_memory
from sitewright.builder.announce import Announcer, is_news
from sitewright.builder.queue import Place
from sitewright.domain.limits import MIB
from sitewright.system.memory import available_bytes, installed_bytes

GIB = 1024 * MIB


def test_a_build_may_take_a_quarter_of_the_machine_within_bounds() -> None:
    assert memory_limit(0, 24 * GIB) == 4096 * MIB
    assert memory_limit(0, 4 * GIB) == GIB
    assert memory_limit(0, GIB) == 512 * MIB
    assert memory_limit(700, 24 * GIB) == 700 * MIB


def test_a_build_waits_until_its_memory_is_free_beside_what_is_promised() -> None:
    assert granted(GIB, 2 * GIB, 0, 0.0) == GIB
    assert granted(GIB, 2 * GIB, GIB, 0.0) == 0
    assert granted(GIB, GIB, 0, 0.0) == 0


def test_after_a_while_it_begins_with_what_there_is_unless_that_is_next_to_nothing() -> None:
    assert granted(GIB, 800 * MIB, 0, PATIENCE_SECONDS) == 800 * MIB - LEFT_FREE_BYTES
    assert granted(GIB, 300 * MIB, 0, 10 * PATIENCE_SECONDS) == 0


def test_limits_and_words_name_what_was_granted() -> None:
    limits = build_limits(600 * MIB)
    assert (limits.memory_bytes, limits.scratch_bytes) == (600 * MIB, 300 * MIB)
    assert limits.cpu_weight < 100
    assert short_of_memory(GIB, 300 * MIB) == "Waiting for memory: 300 MB of the machine are free, and the build may need 1024 MB"


def test_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable:    512 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 512 * 1024
    (tmp_path / "meminfo").write_text("nothing")
    assert available_bytes(tmp_path / "meminfo") == installed_bytes() > 0


def test_a_place_is_told_when_it_has_changed() -> None:
    here = Place("a", 2, 60.0)
    assert is_news(None, here)
    assert not is_news(here, Place("a", 2, 55.0))
    assert is_news(here, Place("a", 2, 20.0))
    assert is_news(here, Place("a", 1, 60.0))


async def test_places_are_told_at_most_once_a_second() -> None:
    told: list[Place] = []
    position = 5
    first = asyncio.Event()

    def tell(place: Place) -> None:
        told.append(place)
        first.set()

    announcer = Announcer(lambda: (Place("a", position, 0.0),), tell)
    announcer.changed()
    async with asyncio.timeout(5):
        await first.wait()
    for position in (4, 3, 2):  # noqa: B007 - the announcer reads it
        announcer.changed()
        await asyncio.sleep(0)
    assert [place.position for place in told] == [5]
    announcer.close()
