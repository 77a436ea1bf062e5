"""Fetching foreign repositories into a site's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from sitewright.bus.messages import Credential, GitSource, RepositoryFetch, RepositoryFetched
from sitewright.commands.git import GitAddress
from sitewright.errors import InvalidValueError
from sitewright.repository.fetch import MOST_AT_ONCE, Fetches
from sitewright.repository.place import Place
from sitewright.testing.foreign_git import ForeignServer, foreign_server
from sitewright.testing.git_lab import GitLab, git_lab
from sitewright.testing.waiting import eventually
from sitewright.testing.workbench import Workbench


@pytest.fixture
async def lab() -> AsyncIterator[GitLab]:
    async with git_lab(extra_egress="198.51.100.0/24") as lab:
        yield lab


@pytest.fixture
async def server() -> AsyncIterator[ForeignServer]:
    async with foreign_server() as server:
        yield server


def asking(lab: GitLab, url: str, **more: object) -> RepositoryFetch:
    return RepositoryFetch.model_validate({"site_id": lab.site, "number": 1, "url": url, **more})


async def fetched(lab: GitLab, request: RepositoryFetch) -> RepositoryFetched:
    async def ended() -> RepositoryFetched | None:
        told = await lab.repositories.fetches.fetch(request)
        return None if told.running else told

    return await eventually(ended, 60)


async def test_branches_and_tags_are_fetched_apart_from_the_sites_own(lab: GitLab) -> None:
    other = await lab.work_tree("other")
    await lab.git("tag", "-a", "v1", "-m", "one", cwd=other)
    commit = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    request = asking(lab, f"file://{other}/.git", request="r1")
    told = await fetched(lab, request)
    assert not told.problem, told
    assert told.refs == {"refs/heads/main": commit, "refs/tags/v1": commit}
    assert told.default_branch == "main"
    assert set(await lab.refs()) == {"refs/sitewright/remote/heads/main", "refs/sitewright/remote/tags/v1"}
    second = await lab.commit(other, {"index.html": "two"})
    assert (await fetched(lab, request)).refs["refs/heads/main"] == commit, "the same request is not done twice"
    told = await fetched(lab, asking(lab, f"file://{other}/.git", request="r2", refs=("refs/heads/main",)))
    assert told.refs == {"refs/heads/main": second}


async def test_one_teams_slow_servers_keep_nobody_else_waiting(lab: GitLab, monkeypatch: pytest.MonkeyPatch) -> None:
    other, never, quick = await lab.work_tree("other"), asyncio.Event(), Fetches._fetch

    async def slow(self: Fetches, place: Place, address: GitAddress, request: RepositoryFetch) -> RepositoryFetched:
        if request.team_id == "charlies":
            await never.wait()
        return await quick(self, place, address, request)

    monkeypatch.setattr(Fetches, "_fetch", slow)
    monkeypatch.setattr("sitewright.repository.fetch.ANSWER_SECONDS", 0.05)
    for number in range(MOST_AT_ONCE):
        told = await lab.repositories.fetches.fetch(asking(lab, f"file://{other}/.git", request=f"c{number}", team_id="charlies"))
        assert told.running
    told = await fetched(lab, asking(lab, f"file://{other}/.git", request="a", team_id="alices"))
    assert not told.problem, told


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "file", "https://u:p@example.org/x.git", "ssh://-oProxyCommand=id/x", "-u@host:x", "git@-host:x"]
)
async def test_addresses_that_are_none_are_refused(lab: GitLab, url: str) -> None:
    with pytest.raises(InvalidValueError):
        await lab.repositories.fetches.fetch(asking(lab, url))


async def test_a_repository_that_is_larger_than_the_sites_may_be_is_not_kept() -> None:
    async with git_lab(repository_mb=16) as lab:
        other = await lab.work_tree("other")
        (other / "big").write_bytes(os.urandom(20_000_000))
        await lab.commit(other, {})
        told = await fetched(lab, asking(lab, f"file://{other}/.git"))
        assert told.problem
        assert told.problem

        async def swept() -> bool:
            return sum(path.stat().st_size for path in lab.repository.rglob("*") if path.is_file()) < 1_000_000

        await eventually(swept, 30)


async def test_a_password_opens_only_the_server_that_it_is_for(lab: GitLab, server: ForeignServer) -> None:
    other = await lab.work_tree("other")
    commit = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    address = f"http://{server.address}:{server.http_port}/{lab.folder.name}/other/.git"
    told = await fetched(lab, asking(lab, address))
    assert told.problem == "It does not let us in."
    told = await fetched(lab, asking(lab, address, credential=Credential(user="git", password="s3cret")))
    assert not told.problem, told
    assert told.refs["refs/heads/main"] == commit
    told = await fetched(lab, asking(lab, address, credential=Credential(user="git", password="wr0ng-one")))
    assert told.problem == "It does not let us in."
    assert "wr0ng-one" not in told.details


async def test_a_deploy_key_opens_a_server_whose_key_is_known(lab: GitLab, server: ForeignServer) -> None:
    other = await lab.work_tree("other")
    commit = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    address = f"ssh://git@{server.address}:{server.ssh_port}{other}/.git"
    credential = Credential(ssh_key=server.client_key)
    told = await fetched(lab, asking(lab, address, credential=credential))
    assert not told.problem, told
    assert told.refs["refs/heads/main"] == commit
    assert server.address in told.known_hosts
    known = credential.model_copy(update={"known_hosts": told.known_hosts})
    assert not (await fetched(lab, asking(lab, address, credential=known))).problem
    kind, key = server.client_public_key.split()[:2]
    wrong = credential.model_copy(update={"known_hosts": f"[{server.address}]:{server.ssh_port} {kind} {key}\n"})
    assert (
        await fetched(lab, asking(lab, address, credential=wrong))
    ).problem == "The server shows another key than the one that is known."
    strange = known.model_copy(update={"ssh_key": server.other_key})
    assert (await fetched(lab, asking(lab, address, credential=strange))).problem == "It does not let us in."


async def test_a_site_is_built_from_a_private_address_with_a_token_in_it(lab: GitLab, server: ForeignServer, bench: Workbench) -> None:
    other = await lab.work_tree("other", **{"index.html": "private"})
    commit = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    place = f"{server.address}:{server.http_port}/{lab.folder.name}/other/.git"
    status = await bench.build(bench.request(GitSource(url=f"http://git:s3cret@{place}")))
    assert status.commit == commit, bench.log(status)
    assert "s3cret" not in bench.log(status)
    status = await bench.build(bench.request(GitSource(url=f"http://{place}"), release=2))
    assert status.problem
