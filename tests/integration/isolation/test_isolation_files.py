"""From inside a site: nobody else's files, nothing of the platform's, and no place to write but one's own folders."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from sitewright.testing.sandbox_lab import SandboxLab


async def inside(lab: SandboxLab, command: str) -> tuple[int, str]:
    """Run a command in a job of site 1; its exit code and output."""
    job = lab.job(command)
    result = await lab.engine.run(job)
    return result.exit.code, lab.text(job.id)


async def test_another_sites_files_and_the_platforms_home_are_not_there(lab: SandboxLab) -> None:
    secret = lab.site_folder(2) / "secret"
    secret.write_text("Charlie must not be read")
    secret.chmod(0o644)
    for path in (secret, lab.site_folder(2), lab.settings.home, lab.settings.paths.run, Path("/root"), Path("/home"), Path("/boot")):
        code, output = await inside(lab, f"ls -la {shlex.quote(str(path))} && cat {shlex.quote(str(path))}")
        assert code != 0, path
        assert "Charlie" not in output


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssl/private", "/etc/ssh", "/etc/pip.conf", "/etc/hostname", "/etc/machine-id"])
async def test_the_hosts_own_settings_are_not_there(lab: SandboxLab, path: str) -> None:
    code, _ = await inside(lab, f"test -e {path}")
    assert code == 1


async def test_one_cannot_climb_out_through_proc_or_an_inherited_descriptor(lab: SandboxLab) -> None:
    code, output = await inside(lab, f"ls /proc/1/root{lab.settings.home} || ls /proc/self/cwd/../../{lab.settings.home}")
    assert code != 0
    _, output = await inside(lab, "ls -l /proc/self/fd | grep -- '->' | grep -v -e /proc/ -e 'pipe:' -e /dev/null | cat")
    assert output == ""


async def test_a_descriptor_that_the_platform_happens_to_have_open_is_not_inherited(lab: SandboxLab) -> None:
    leaked = os.open(lab.settings.home, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        await lab.reopen()
        _, output = await inside(lab, "ls -l /proc/self/fd")
    finally:
        os.close(leaked)
    assert str(lab.settings.home) not in output


@pytest.mark.parametrize(
    "path", ["/", "/usr", "/usr/bin", "/usr/lib/python3", "/etc", "/etc/passwd", "/dev", "/var", "/run", "/proc/sys/kernel/hostname"]
)
async def test_nothing_outside_its_folders_can_be_written(lab: SandboxLab, path: str) -> None:
    target = path if path.startswith(("/etc/p", "/proc")) else f"{path.rstrip('/')}/planted"
    code, _ = await inside(lab, f"echo x >> {target}")
    assert code != 0


async def test_its_own_folder_and_scratch_can_be_written_and_scratch_is_bounded_and_private(lab: SandboxLab) -> None:
    code, output = await inside(lab, "echo x > /app/mine && echo y > /tmp/mine && dd if=/dev/zero of=/tmp/big bs=1M count=100 2>&1")
    assert code != 0
    assert "No space left" in output
    assert (lab.folder / "mine").stat().st_uid == lab.uid(1)
    code, _ = await inside(lab, "test -e /tmp/mine")
    assert code == 1


async def test_a_read_only_mount_stays_read_only(lab: SandboxLab) -> None:
    code, _ = await inside(lab, "mount -o remount,rw /usr; touch /usr/planted")
    assert code != 0
    assert not Path("/usr/planted").exists()


async def test_devices_of_the_machine_are_not_there_and_cannot_be_made(lab: SandboxLab) -> None:
    _, output = await inside(lab, "ls /dev/vda /dev/sda /dev/mem /dev/kmsg 2>/dev/null; mknod /tmp/disk b 254 0 && echo made")
    assert output.strip().splitlines()[-1:] != ["made"]
    assert "/dev/" not in output


async def test_environment_values_do_not_show_in_the_hosts_process_list(lab: SandboxLab) -> None:
    spec = lab.instance("echo up; exec sleep 600", env=(("API_KEY", "do-not-show-me-8731"),))
    await lab.engine.start(spec)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                assert b"do-not-show-me-8731" not in (entry / "cmdline").read_bytes()
            except OSError:
                continue
