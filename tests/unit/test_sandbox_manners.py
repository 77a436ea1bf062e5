"""A busy instance gives way, and gets its weight back; looking costs next to nothing while nobody is busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from sitewright.domain.limits import Limits
from sitewright.engines.sandbox.manners import Manners, busy_ones
from sitewright.system.cgroups import ControlGroups
from sitewright.system.hierarchy import Hierarchy

CONTROLLERS = frozenset({"memory", "cpu", "pids"})


class Kernel:
    """Control groups of version 2 as plain files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.groups = ControlGroups(Hierarchy(unified=root, unified_controllers=CONTROLLERS), "sw-test")
        self.weights = {"alices": 100, "charlies": 200}
        self.used = dict.fromkeys(self.weights, 0.0)
        self.reads = 0
        self.idle = 0.0
        for name, weight in self.weights.items():
            (root / "sw-test/sites" / name).mkdir(parents=True)
            (root / "sw-test/sites" / name / "cpu.weight").write_text(str(weight))
        self.use()

    def use(self, **seconds: float) -> None:
        for name, amount in seconds.items():
            self.used[name] += amount
        for name, amount in self.used.items():
            (self.root / "sw-test/sites" / name / "cpu.stat").write_text(f"usage_usec {round(amount * 1e6)}\n")
        (self.root / "sw-test/sites/cpu.stat").write_text(f"usage_usec {round(sum(self.used.values()) * 1e6)}\n")

    def running(self) -> dict[str, int]:
        self.reads += 1
        return self.weights

    def idling(self) -> float:
        self.idle += 0.25
        return self.idle

    def weight(self, name: str) -> int:
        return int((self.root / "sw-test/sites" / name / "cpu.weight").read_text())


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def look_through(manners: Manners, kernel: Kernel, start: float, seconds: float, **share: float) -> float:
    now = start
    while now < start + seconds:
        now += 0.25
        kernel.use(**{name: 0.25 * part for name, part in share.items()})
        manners.look(now)
    return now


def test_who_takes_a_whole_processor_gives_way_within_a_second_and_the_quiet_one_keeps_its_weight(kernel: Kernel) -> None:
    manners = Manners(kernel.groups, kernel.running, kernel.idling)
    look_through(manners, kernel, 0.0, 1.0, charlies=1.0, alices=0.05)
    assert manners.busy == {"charlies"}
    assert (kernel.weight("charlies"), kernel.weight("alices")) == (12, 100)


def test_once_it_is_calm_it_weighs_what_it_did(kernel: Kernel) -> None:
    manners = Manners(kernel.groups, kernel.running, kernel.idling)
    now = look_through(manners, kernel, 0.0, 1.0, charlies=1.0)
    now = look_through(manners, kernel, now, 1.5)
    assert manners.busy == {"charlies"}
    look_through(manners, kernel, now, 1.0)
    assert (manners.busy, kernel.weight("charlies")) == (frozenset(), 200)


def test_while_nobody_is_busy_no_single_instance_is_looked_at(kernel: Kernel) -> None:
    manners = Manners(kernel.groups, kernel.running, kernel.idling)
    look_through(manners, kernel, 0.0, 10.0, charlies=0.02, alices=0.02)
    assert kernel.reads == 1


def test_while_no_processor_is_free_the_busiest_give_way_however_little_each_of_them_gets() -> None:
    taken = {"alices": 0.04, "bobs": 0.17, "charlies": 0.2}
    assert busy_ones(taken, 1.0, free=True) == []
    assert busy_ones(taken, 1.0, free=False) == ["bobs", "charlies"]
    assert busy_ones({"alices": 0.6, "charlies": 2.0}, 1.0, free=False) == ["alices", "charlies"]
    assert busy_ones({"alices": 0.01}, 1.0, free=False) == []
    assert busy_ones({}, 1.0, free=False) == []


def test_a_light_weight_that_an_earlier_engine_left_is_put_right(kernel: Kernel) -> None:
    (kernel.root / "sw-test/sites/alices/cpu.weight").write_text("6")
    Manners(kernel.groups, kernel.running, kernel.idling).look(0.25)
    assert kernel.weight("alices") == 100


def test_the_weight_of_a_plan_reaches_both_versions(tmp_path: Path) -> None:
    for version, name, file, expected in ((2, "two", "cpu.weight", "50"), (1, "one", "cpu.shares", "512")):
        root = tmp_path / name
        folder = root / "sw-test/sites/alices"
        folder.mkdir(parents=True)
        for needed in ("cpu.max", "cpu.cfs_period_us", "cpu.cfs_quota_us", file):
            (folder / needed).touch()
        hierarchy = Hierarchy(unified=root, unified_controllers=frozenset({"cpu"})) if version == 2 else Hierarchy(v1=(("cpu", root),))
        ControlGroups(hierarchy, "sw-test").create("alices", Limits(cpu_weight=50))
        assert (folder / file).read_text() == expected
