import io
import json
import tarfile
from pathlib import Path

import pytest

from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import EngineState, Exit, InstanceSpec, Mount, Sandboxed, Stats
from sitewright.engines.docker.boxes import Base, account_files, instance_argv, instance_container
from sitewright.engines.docker.capabilities import capabilities
from sitewright.engines.docker.image import skeleton
from sitewright.engines.docker.labels import instance_labels, spec_from
from sitewright.engines.docker.logs import Allowance, since_parameter
from sitewright.engines.docker.views import exit_of, observed_from, started_at, stats_from
from sitewright.errors import EngineError
from sitewright.system.clock import FakeClock

SPEC = InstanceSpec(
    id="abcdefghjkmn",
    channel_id="c",
    site_id="s",
    process="web",
    digest="d",
    release_id="r",
    box=Sandboxed(
        uid=1_300_001,
        command="gunicorn app --bind fd://3",
        env=(("SECRET", "pä=ss\nword"), ("A", "")),
        mounts=(Mount(Path("/srv/alice"), "/app", writable=True),),
        limits=Limits(),
    ),
    listen=Listen.FD,
    socket=Path("/run/sw-0badcafe/i/abcdefghjkmn/s"),
)
BASE = Base("0badcafe", "image", (), Path("/run/sw-0badcafe/docker"))


def inspected(status: str, **state: object) -> dict[str, object]:
    container = instance_container(BASE, SPEC, "none")
    state = {"Status": status, "ExitCode": 0, "OOMKilled": False, "Pid": 7, "StartedAt": "2026-01-31T12:00:00.5Z", **state}
    return {"State": state, "Config": {"Labels": dict(container.labels), "Env": list(container.env)}}


def test_a_spec_comes_back_from_labels_and_environment_word_for_word() -> None:
    container = instance_container(BASE, SPEC, "none")
    assert spec_from(dict(container.labels), list(container.env)) == SPEC


def test_a_secret_is_in_no_label() -> None:
    assert "word" not in json.dumps(instance_labels("0badcafe", SPEC))


def test_a_tenant_cannot_choose_what_the_engine_decides() -> None:
    box = Sandboxed(1, "true", (("SOCKET", "/run/other"), ("PORT", "1")), (), Limits())
    spec = InstanceSpec("i", "c", "s", "web", "d", "r", box, Listen.SOCKET, Path("/r/i/s"), port=8000)
    env = instance_container(BASE, spec, "none").env
    assert "SOCKET=/run/sitewright/web.sock" in env
    assert "PORT=8000" in env
    assert len([line for line in env if line.startswith("PORT=")]) == 1


def test_the_launcher_runs_only_where_a_socket_is_handed_over() -> None:
    launcher = ("/usr/bin/python3", "-I", "-S", "/sitewright/launch.py", "fd", "8000", "--")
    app = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", "/bin/sh", "-c", "gunicorn app --bind fd://3")
    assert instance_argv(SPEC) == (*launcher, *app)
    worker = InstanceSpec("i", "c", "s", "worker", "d", "r", SPEC.box, Listen.NONE, Path("/r/i/s"))
    assert instance_argv(worker) == app


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(EngineError, match="no stack"):
        BASE.image_for("cobol")


def test_states_of_the_daemon_are_words_of_the_contract() -> None:
    assert observed_from(inspected("running")).state is EngineState.RUNNING
    assert observed_from(inspected("paused")).state is EngineState.FROZEN
    ended = observed_from(inspected("exited", ExitCode=143, Pid=0))
    assert (ended.state, ended.exit, ended.pid, ended.started_at) == (EngineState.EXITED, Exit(143), 0, 1769860800.5)


def test_out_of_memory_is_an_end_only_when_it_ended() -> None:
    assert exit_of({"Status": "exited", "ExitCode": 137, "OOMKilled": True}) == Exit(137, out_of_memory=True)
    assert exit_of({"Status": "exited", "ExitCode": 0, "OOMKilled": True}) == Exit(0)


def test_one_that_never_started_ended_unseen() -> None:
    assert exit_of({"Status": "created", "ExitCode": 0, "OOMKilled": False}) == Exit(-1)
    assert started_at("0001-01-01T00:00:00Z") == 0


def test_file_cache_is_not_counted_as_used() -> None:
    answer = {
        "memory_stats": {"usage": 100, "stats": {"total_inactive_file": 30, "inactive_file": 1}},
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "pids_stats": {"current": 4},
    }
    assert stats_from(answer) == Stats(memory_bytes=70, cpu_seconds=2.5, pids=4)
    assert stats_from({}) == Stats()


def test_logs_go_on_right_after_the_last_line_seen() -> None:
    assert since_parameter("") == "0"
    assert since_parameter("2026-01-31T12:00:00.123456789Z") == "1769860800.123456790"
    assert since_parameter("2026-01-31T12:00:00.999999999Z") == "1769860801.000000000"
    assert since_parameter("2026-01-31T12:00:00Z") == "1769860800.000000001"


def test_an_allowance_refills_with_time() -> None:
    clock = FakeClock()
    allowance = Allowance(100, clock)
    assert allowance.take(400)
    assert not allowance.take(1)
    clock.advance(1)
    assert allowance.take(100)
    assert not allowance.take(1)


def test_the_image_is_the_same_bytes_each_time_and_holds_no_program() -> None:
    assert skeleton(b"x") == skeleton(b"x")
    with tarfile.open(fileobj=io.BytesIO(skeleton(b"x"))) as tar:
        assert {member.name for member in tar if member.isfile()} == {"etc/nsswitch.conf", "etc/shells", "sitewright/launch.py"}


def test_the_tenants_own_name_is_site_and_no_other_tenant_is_listed() -> None:
    files = account_files(1_300_001)
    assert "site:x:1300001:1300001:site:/data:/bin/sh\n" in files["passwd"]
    assert files["passwd"].count("\n") == 3


def test_capabilities_say_what_is_missing_and_what_to_do() -> None:
    info = {"SecurityOptions": ["name=seccomp,profile=default"], "MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True}
    found = {one.name: one for one in capabilities(info, "Only root may.")}
    assert found["limits"].ok
    assert not found["network isolation"].ok
    assert found["network isolation"].resolution
    assert not found["live restore"].ok
