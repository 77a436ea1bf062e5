"""CPU a request: ours, bare nginx, and what others would use, in turns of one second each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.harness import Row
from benchmarks.rig.load import start_load
from benchmarks.rig.servers import Server

ROUNDS = 5


@dataclass(frozen=True)
class Contender:
    """A server and how wrk asks it."""

    name: str
    server: Server
    script: str
    path: str = "/"


@dataclass(frozen=True)
class Turn:
    """One second of one contender: CPU seconds a request, and requests."""

    cpu: float
    requests: int


def turn(contender: Contender) -> Turn:
    """One second of load. Raises AssertionError when a request failed: a server that fails fast must not win."""
    before = contender.server.cpu_seconds()
    counted = start_load(contender.server.port, contender.script, seconds=1, path=contender.path).end()
    assert counted.failed == 0, f"{contender.name}: {counted}"
    return Turn((contender.server.cpu_seconds() - before) / counted.requests, counted.requests)


def compare(contenders: list[Contender], rounds: int = ROUNDS) -> dict[str, list[Turn]]:
    """Turns of all of them, one after the other, in every round."""
    turns: dict[str, list[Turn]] = {one.name: [] for one in contenders}
    for _ in range(rounds):
        for one in contenders:
            turns[one.name].append(turn(one))
    return turns


def cpu_ratio(ours: list[Turn], peer: list[Turn]) -> float:
    """Our CPU a request as a multiple of the peer's, the median of the rounds."""
    return statistics.median(a.cpu / b.cpu for a, b in zip(ours, peer, strict=True))


def throughput_ratio(ours: list[Turn], peer: list[Turn]) -> float:
    """Our requests a second as a multiple of the peer's, the median of the rounds."""
    return statistics.median(a.requests / b.requests for a, b in zip(ours, peer, strict=True))


def cpu_row(name: str, turns: dict[str, list[Turn]], bar: float | None, peer: str = "bare nginx") -> Row:
    """The ratio to the peer as a row."""
    return Row(name, cpu_ratio(turns["ours"], turns[peer]), "× CPU", bar, peer=peer, peer_value=1.0)
