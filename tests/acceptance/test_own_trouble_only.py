"""Charlie's site makes every kind of trouble. It is his own only: Alice's site answers every request meanwhile, and he reads what happened.

Every trouble ends by itself after a few seconds (see sites/trouble/trouble.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sitewright.testing.crowd import Crowd
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

SITES = Path(__file__).parent / "sites"
SECONDS = 5
DISK_MB = 64
Tell = Callable[[str], None]


def copied(name: str, folder: Path, **more: str) -> Path:
    """A site's files in a folder of its own, with some more or other ones."""
    folder.mkdir(exist_ok=True)
    for file in (SITES / name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for file_name, text in more.items():
        (folder / file_name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def alices(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    """A site with a process of its own, which must go on as if it were alone."""
    folder = copied("flask", tmp_path_factory.mktemp("alices") / "app")
    platform.cli("sites", "create", "alices-garden", "--from", str(folder))
    yield platform.site("alices-garden", folder)
    platform.cli("sites", "delete", "alices-garden", "--confirm", "alices-garden")


@pytest.fixture(scope="module")
def charlies(platform: Platform, alices: VisitedSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    """A site on the usual plan, but for a disk that is quickly full."""
    (usual,) = [plan for plan in platform.api("GET", "/plans").json()["items"] if plan["is_default"]]
    answer = platform.api("PATCH", f"/plans/{usual['name']}", json={"disk_mb": DISK_MB})
    assert answer.status_code == 200, answer.text
    folder = copied("trouble", tmp_path_factory.mktemp("charlies") / "app")
    platform.cli("sites", "create", "charlies-den", "--from", str(folder))
    yield platform.site("charlies-den", folder)
    platform.cli("sites", "delete", "charlies-den", "--confirm", "charlies-den")
    platform.api("PATCH", f"/plans/{usual['name']}", json={"disk_mb": usual["disk_mb"]})


class Trouble:
    """Starts a kind of trouble, and reads what its owner would read."""

    def __init__(self, platform: Platform, site: VisitedSite) -> None:
        self.platform, self.site = platform, site
        self._before = {item["id"] for item in self._timeline()}

    def start(self, kind: str, seconds: float = SECONDS) -> None:
        """Ask for it."""
        assert self.site.post(f"/{kind}/{seconds}").status_code == 200

    def _timeline(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.platform.api("GET", f"/sites/{self.site.name}/events").json()["items"]
        return items

    def events(self) -> list[str]:
        """The timeline since this began."""
        return [item["text"] for item in self._timeline() if item["id"] not in self._before]

    def said(self, kind: str) -> str:
        """What the trouble itself noted; "" while it has not."""
        found = list((self.platform.settings.home / "sites").glob(f"*/channels/production/data/{kind}"))
        return found[0].read_text() if found else ""

    def told(self, words: str) -> Callable[[], bool]:
        """Whether the timeline says that."""
        return lambda: any(words in text for text in self.events())


@pytest.fixture
def trouble(platform: Platform, charlies: VisitedSite) -> Trouble:
    """Charlie's site answers before anything begins."""
    assert charlies.eventually(lambda: charlies.get("/").text == "no trouble", 60)
    return Trouble(platform, charlies)


@pytest.fixture
def visitors(alices: VisitedSite, charlies: VisitedSite, tell: Tell, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    """Alice's, from before the trouble until after it: none of them is turned away."""
    with Crowd(alices, rate=50.0, connections=4) as crowd:
        crowd.go_on(20)
        yield crowd
        crowd.go_on(20)
    tell(f"beside {request.node.name.removeprefix('test_')}: {crowd.told()}")
    assert crowd.failures == []


def test_ten_thousand_forks_end_at_the_limit_and_are_told(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("forks")
    visitors.go_on(until=trouble.told("reached its limit of 128 processes and threads"), seconds=60)
    visitors.go_on(until=lambda: trouble.said("forks") != "", seconds=60)
    assert int(trouble.said("forks").split()[0]) < 140


def test_eight_gigabytes_are_cut_off_and_told_with_their_number(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("memory")
    visitors.go_on(until=trouble.told("used 256 MB of 256 MB at "), seconds=60)
    trouble.start("memory")
    visitors.go_on(until=trouble.told(" time today"), seconds=60)


def test_fifty_megabytes_of_log_a_second_cost_the_platform_next_to_nothing(trouble: Trouble, visitors: Crowd, tell: Tell) -> None:
    node = trouble.platform.part_pid("node")
    before, began = cpu_seconds(node), time.monotonic()
    trouble.start("log", 10)
    visitors.go_on(until=lambda: time.monotonic() - began > 10, seconds=60)
    share = (cpu_seconds(node) - before) / (time.monotonic() - began)
    visitors.go_on(until=trouble.told("Lines of the log of web.1 were dropped"), seconds=60)
    tell(f"the node process took {share:.1%} of a processor while 50 MB/s of log were written")
    assert share < 0.15


def test_twenty_thousand_open_files_are_an_error_of_its_own(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("files")
    visitors.go_on(until=lambda: "Too many open files" in trouble.said("files"), seconds=60)
    assert int(trouble.said("files").split()[0]) < 4096


def test_a_full_disk_stops_it_and_its_owner_can_clean_up(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("disk", 20)
    visitors.go_on(until=trouble.told(f"{DISK_MB} MB are the most"), seconds=90)
    for big in (trouble.platform.settings.home / "sites").glob("*/channels/production/data/big"):
        big.unlink()
    assert trouble.site.eventually(lambda: trouble.site.get("/").text == "no trouble", 60)


def test_sixty_four_burning_processes_leave_others_their_share(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("cpu")
    began = time.monotonic()
    visitors.go_on(until=lambda: time.monotonic() - began > SECONDS)


def test_full_private_folders_are_an_error_of_its_own(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("scratch")
    visitors.go_on(until=lambda: trouble.said("scratch") != "" or trouble.told("used 256 MB")(), seconds=60)


def test_two_thousand_connections_to_itself_hurt_nobody(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("connections")
    visitors.go_on(until=lambda: trouble.said("connections") != "", seconds=60)


def test_a_fork_bomb_while_it_is_stopped_is_gone_when_the_stop_is_done(trouble: Trouble, visitors: Crowd) -> None:
    trouble.start("bomb", 30)
    trouble.platform.cli("sites", "stop", trouble.site.name, timeout=60)
    uid = {path.stat().st_uid for path in (trouble.platform.settings.home / "sites").glob("*/channels/production/data/forks")}
    assert len(uid) == 1
    assert trouble.site.eventually(lambda: not uid & {path.stat().st_uid for path in processes()}, 30)
    trouble.platform.cli("sites", "start", trouble.site.name)
    visitors.go_on(10)


def test_who_does_not_listen_to_term_is_killed_after_its_grace_and_the_deploy_goes_on(
    trouble: Trouble, visitors: Crowd, tmp_path: Path
) -> None:
    site = trouble.site.name
    trouble.platform.cli("deploy", str(copied("trouble", tmp_path / "deaf", deaf="yes")), "--site", site)
    began = time.monotonic()
    trouble.platform.cli("deploy", str(copied("trouble", tmp_path / "meek")), "--site", site)
    assert time.monotonic() - began < 60
    assert trouble.site.get("/").text == "no trouble"
    instances = trouble.platform.api("GET", f"/sites/{site}/instances")
    assert trouble.site.eventually(lambda: running(trouble) == 1, 60), instances.text
    visitors.go_on(10)


def running(trouble: Trouble) -> int:
    """How many instances of Charlie's there are, in whatever state."""
    return len(trouble.platform.api("GET", f"/sites/{trouble.site.name}/instances").json()["items"])


def processes() -> Iterator[Path]:
    """Folders of all processes of this machine that live."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat() and (path / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                yield path
        except OSError:
            continue


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have had (proc(5), schedstat: nanoseconds)."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir()) / 1e9
