"""`./sitewright up` and `down` as a person runs them, without the sample: refusals, restarts, a killed supervisor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.up.children import start_ticks

PROGRAM = Path(__file__).parents[3] / "sitewright"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def eventually(check: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="sitewright-up-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home"


@pytest.fixture
def platform(home: Path) -> Iterator[Platform]:
    made = Platform(PROGRAM, home=home, port=free_port(), arguments=("--no-sample",))
    yield made
    made.clear_away()


def up(home: Path, port: int) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SITEWRIGHT_HOME": str(home), "SITEWRIGHT_HTTP_PORT": str(port)}
    return subprocess.run([str(PROGRAM), "up"], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_one_sentence_and_leaves_nothing(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = up(home, port)
    assert done.returncode == 10
    assert f"Nothing can listen on 127.0.0.1 port {port}: in use by" in done.stdout
    assert not home.exists()


def test_a_wrong_setting_is_one_sentence(home: Path) -> None:
    env = {**os.environ, "SITEWRIGHT_HOME": str(home), "SITEWRIGHT_HTTP_PORT": "eighty"}
    done = subprocess.run([str(PROGRAM), "up"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "SITEWRIGHT_HTTP_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_up_on_the_same_data_is_refused_and_the_first_goes_on(platform: Platform) -> None:
    platform.start()
    done = up(platform.settings.home, free_port())
    assert done.returncode == 10
    assert "is running already" in done.stdout
    assert platform.ready()


def test_every_part_comes_back_after_kill(platform: Platform) -> None:
    platform.start()
    for part in ("nats", "node", "manager", "nginx"):
        before = platform.part_pid(part)
        os.kill(before, signal.SIGKILL)
        eventually(lambda part=part, before=before: platform.part_pid(part) not in {0, before}, f"the return of {part}", 5.0)
    eventually(platform.ready, "everything well again")


def test_ctrl_c_ends_everything_and_a_later_start_is_quick(platform: Platform) -> None:
    platform.start()
    pids = [platform.part_pid(part) for part in ("nats", "node", "manager", "nginx")]
    assert all(pids)
    assert platform.stop() == 0
    assert not [pid for pid in pids if start_ticks(pid)]
    assert platform.cli("doctor").returncode == 0
    begun = time.monotonic()
    platform.start()
    assert time.monotonic() - begun < 10.0 * load_allowance()


def load_allowance() -> float:
    """How many times longer things may take because others use this machine too."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_killed_supervisor_leaves_the_parts_running_and_the_next_up_takes_over(platform: Platform) -> None:
    platform.start()
    os.kill(platform.part_pid("supervisor"), signal.SIGKILL)
    assert platform.ready()
    assert platform.cli("doctor", check=False).returncode == 10
    old = platform.part_pid("nginx")
    platform.stop()
    platform.start()
    assert platform.part_pid("nginx") not in {0, old}
    assert not start_ticks(old)


def test_down_ends_what_a_killed_supervisor_left(platform: Platform) -> None:
    platform.start()
    pids = [platform.part_pid(part) for part in ("nats", "node", "manager", "nginx")]
    os.kill(platform.part_pid("supervisor"), signal.SIGKILL)
    assert "killed supervisor" in platform.cli("down").stdout
    assert not [pid for pid in pids if start_ticks(pid)]
