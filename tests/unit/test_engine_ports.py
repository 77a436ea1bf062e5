"""Where visitors are led when an app listens on a port of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sitewright.commands import network
from sitewright.engines import ports
from sitewright.engines.ports import PortFollower, open_ports
from sitewright.system.processes import Completed

HEAD = "  sl  local_address rem_address   st\n"


def listening(*addresses: str, state: str = "0A") -> str:
    return HEAD + "".join(f"   0: {address} 00000000:0000 {state}\n" for address in addresses)


class StillClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def steady(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Recorder:
    """Keeps what it was told to run."""

    def __init__(self) -> None:
        self.rules: list[bytes] = []

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        assert argv[1] == "--net=/proc/7/ns/net"
        self.rules.append(stdin)
        return Completed(0, b"", b"")


class Bench:
    """A follower whose instance has the ports that a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: set[int] = set()
        self.said: list[str] = []
        self.clock, self.runner = StillClock(), Recorder()
        self.follower = PortFollower(self.runner, self.clock, lambda _id, text: self.said.append(text))
        monkeypatch.setattr(ports, "open_ports", lambda _pid: frozenset(self.open))
        monkeypatch.setattr(ports, "is_root", lambda: True)

    async def reaches(self, *, after: float = 0.0) -> bool:
        self.clock.at += after
        return await self.follower.reaches("web", 7, 8000)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_only_ports_that_the_relay_reaches_count(tmp_path: Path) -> None:
    folder = tmp_path / "7" / "net"
    folder.mkdir(parents=True)
    (folder / "tcp").write_text(listening("00000000:0BB8", "0100007F:1388", "0200A8C0:1F90") + listening("00000000:0016", state="01"))
    (folder / "tcp6").write_text(listening(f"{'0' * 32}:1F91"))
    assert open_ports(7, tmp_path) == {3000, 5000, 8081}


async def test_an_app_on_the_named_port_needs_nothing(bench: Bench) -> None:
    bench.open = {8000, 9000}
    assert await bench.reaches()
    assert (bench.runner.rules, bench.said) == ([], [])


async def test_the_only_other_port_is_led_to_once_it_has_been_open_for_a_moment(bench: Bench) -> None:
    bench.open = {3000}
    assert not await bench.reaches()
    assert not await bench.reaches(after=0.5)
    assert await bench.reaches(after=0.6)
    assert await bench.reaches(after=5)
    assert bench.runner.rules == [network.redirect(8000, 3000)]
    assert bench.said == ["The app listens on port 3000, not on $PORT (8000). Visitors are led there."]


async def test_of_two_ports_none_is_guessed_and_the_owner_is_told_once(bench: Bench) -> None:
    bench.open = {3000, 9229}
    for _ in range(4):
        assert not await bench.reaches(after=1)
    assert bench.runner.rules == []
    assert bench.said == ["The app listens on port 3000 and 9229, not on $PORT (8000). Let it listen on $PORT."]


async def test_an_app_that_opens_the_named_port_after_all_gets_its_visitors_there(bench: Bench) -> None:
    bench.open = {3000}
    await bench.reaches()
    assert await bench.reaches(after=2)
    bench.open = {3000, 8000}
    assert await bench.reaches(after=2)
    assert bench.runner.rules[-1] == network.redirect_none()
