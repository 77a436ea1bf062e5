"""The two halves of git's protocol as HTTP has them, and a large push."""

from __future__ import annotations

import asyncio
import os

from sitewright.bus.messages import Ack, GitOpen, GitService
from sitewright.bus.streams import far_end
from sitewright.bus.subjects import rpc
from sitewright.domain.identity import new_id
from sitewright.testing.git_lab import GitLab


async def ask(lab: GitLab, service: GitService, told: bytes = b"", *, advertise: bool = False, protocol: str = "") -> tuple[bytes, int]:
    session = new_id()
    stream = await far_end(lab.bus, lab.settings.node, session)
    request = GitOpen(
        session=session,
        site_id=lab.site,
        site_name="alice",
        number=1,
        service=service,
        user_id="user22222222",
        who="alice@example.org",
        stateless=True,
        advertise=advertise,
        protocol=protocol,
    )
    await lab.bus.request(rpc(lab.settings.node, "git.open"), request, Ack, timeout=20)
    if told:
        await stream.write(told)
    await stream.close_input()
    output = b"".join([data async for data in stream])
    code = await stream.wait()
    await stream.close()
    return output, code


def packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


async def test_references_are_advertised_without_the_hidden_ones(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    commit = (await lab.refs())["refs/heads/main"]
    await lab.git("--git-dir", str(lab.repository), "update-ref", "refs/sitewright/pushes/x", commit)
    output, code = await ask(lab, GitService.UPLOAD_PACK, advertise=True)
    assert code == 0
    assert b"refs/heads/main" in output
    assert b"refs/sitewright" not in output
    output, code = await ask(lab, GitService.UPLOAD_PACK, advertise=True, protocol="version=2")
    assert b"version 2" in output
    output, code = await ask(lab, GitService.RECEIVE_PACK, advertise=True)
    assert b"push-options" in output
    assert b"refs/sitewright" not in output


async def test_one_half_of_a_push_is_judged_like_any_other(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    commit = (await lab.refs())["refs/heads/main"].encode()
    line = packet(b"0" * 40 + b" " + commit + b" refs/heads/try\0 report-status side-band-64k")
    pack = await asyncio.create_subprocess_exec(
        "git", "pack-objects", "--stdout", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, cwd=folder
    )
    empty, _ = await pack.communicate()
    output, code = await ask(lab, GitService.RECEIVE_PACK, line + b"0000" + empty)
    assert code == 0
    assert b"ok refs/heads/try" in output
    assert lab.manager.asked[-1].updates[0].name == "refs/heads/try"


async def test_three_hundred_megabytes_are_pushed_and_cloned(lab: GitLab) -> None:
    folder = await lab.work_tree("alice", **{f"part{number}": os.urandom(30_000_000) for number in range(10)})
    done = await lab.git("-c", "core.compression=0", "-c", "core.bigFileThreshold=1m", "push", "-q", "origin", "main", cwd=folder)
    assert done.ok, done.output
    assert (await lab.git("clone", "-q", "--bare", lab.address, "copy")).ok
    assert len(lab.repositories.sessions) == 0
