"""Where the platform's own processes belong, and how much of a machine tenants may take together."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sitewright.domain.limits import USUAL_WEIGHT, cpu_shares
from sitewright.system import priority
from sitewright.system.cgroups import BUILDS, SITES, branch_of, tenants_memory
from sitewright.system.hierarchy import Hierarchy

MIB = 1024 * 1024


def test_the_platform_is_beside_the_tenants_and_not_below_them() -> None:
    assert priority.group_folders("abc", Hierarchy(v1=(("cpu", Path("/c")),))) == (Path("/c/sw-abc-platform"),)
    assert priority.group_folders("abc", Hierarchy()) == ()


def test_a_unit_of_systemd_keeps_its_processes_and_a_terminal_does_not() -> None:
    assert priority.managed_elsewhere("0::/system.slice/sitewright.service\n")
    assert not priority.managed_elsewhere("0::/user.slice/user-0.slice/session-1.scope\n")
    assert not priority.managed_elsewhere("1:cpu:/\n0::/\n")


def test_whoever_is_in_no_group_of_the_platform_is_not_in_place() -> None:
    assert not priority.in_place("0000000000", os.getpid())


def test_the_platform_outweighs_all_tenants() -> None:
    assert priority.PLATFORM_WEIGHT >= 10 * USUAL_WEIGHT


def test_weights_of_both_versions_mean_the_same() -> None:
    assert [cpu_shares(weight) for weight in (1, 100, 200, 10_000, 1_000_000)] == [10, 1024, 2048, 102_400, 262_144]


def test_tenants_leave_some_memory_to_the_platform_on_every_machine() -> None:
    assert tenants_memory(64 * 1024 * MIB) == 64 * 1024 * MIB - int(64 * 1024 * MIB * 0.05)
    assert tenants_memory(2048 * MIB) == 1792 * MIB
    assert tenants_memory(256 * MIB) == 128 * MIB


def test_jobs_are_builds_and_everything_else_is_a_site() -> None:
    assert (branch_of("j-abc"), branch_of("abc"), branch_of("abc/exec-1")) == (BUILDS, SITES, SITES)


def test_a_job_and_what_it_starts_interrupt_nobody() -> None:
    with subprocess.Popen(("/bin/sh", "-c", "read line; exec chrt -p $$"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        priority.stand_back(job.pid)
        assert os.sched_getscheduler(job.pid) == os.SCHED_BATCH
        output, _ = job.communicate("go\n", timeout=10)
    assert "SCHED_BATCH" in output
    priority.stand_back(job.pid)
