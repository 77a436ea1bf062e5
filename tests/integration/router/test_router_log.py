"""The access log is put aside while visitors come."""

from __future__ import annotations

import stat

from sitewright.router import follow
from sitewright.router.follow import TrafficFollower
from sitewright.system.clock import FakeClock

from .conftest import eventually


def test_a_log_that_is_put_aside_under_visits_loses_no_line(router, monkeypatch):
    monkeypatch.setattr(follow, "DRAIN_SECONDS", 1.5)
    app = router.app()
    router.route("aside.example.test", sockets=(app.socket,))
    path = router.settings.paths.logs / "access.log"
    follower = TrafficFollower(router.settings.paths)
    follower.start()
    requests = counted = 0

    def visit() -> None:
        nonlocal requests
        assert router.get("aside.example.test").status == 200
        requests += 1

    def count() -> int:
        nonlocal counted
        while follower.step():
            pass
        counted += sum(host.requests for host in follower.take() if host.host == "aside.example.test")
        return counted

    for _ in range(3):
        for _ in range(20):
            visit()
        before = path.stat().st_ino
        eventually(lambda: path.stat().st_size > 0, "nginx has written")
        monkeypatch.setitem(follow.MOST_BYTES, "access.log", 1)
        follower.rotate()
        monkeypatch.setitem(follow.MOST_BYTES, "access.log", 1 << 30)
        visit()
        eventually(path.exists, "nginx has begun a new log")
        assert path.stat().st_ino != before
        visit()
        eventually(lambda: count() == requests, "every request is counted")
    follower.close()
    assert path.with_name("access.log.1").exists()


def test_nginx_is_found_by_its_name_and_configuration(router):
    path = router.settings.paths.logs / "nginx-error.log"
    before = path.stat().st_ino
    path.rename(path.with_name("nginx-error.log.1"))
    TrafficFollower(router.settings.paths, FakeClock()).rotate()
    eventually(lambda: path.exists() and path.stat().st_ino != before, "nginx has begun a new log")


def test_who_visited_is_read_by_nobody_else_also_after_a_log_was_put_aside(router):
    logs = [router.settings.paths.logs / name for name in ("access.log", "nginx-error.log")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in logs] == [0o640, 0o640]
    for path in logs:
        path.rename(path.with_name(f"{path.name}.1"))
    TrafficFollower(router.settings.paths, FakeClock()).rotate()
    eventually(lambda: all(path.exists() for path in logs), "nginx has begun new logs")
    assert [stat.S_IMODE(path.stat().st_mode) & 0o037 for path in logs] == [0, 0]
