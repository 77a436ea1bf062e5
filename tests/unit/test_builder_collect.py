"""Droplets go when nobody can come back to them, and not before."""

from __future__ import annotations

from sitewright.builder.collect import KEPT_DROPLETS, YOUNGEST_SECONDS, Needs, unneeded
from sitewright.bus.messages import BuildRequest, BuildStatus, TemplateSource
from sitewright.domain.states import BuildState

NOW = 1_000_000.0
LONG_AGO = NOW - 10 * YOUNGEST_SECONDS


def built(site: str, number: int, droplet: str, state: BuildState = BuildState.SUCCEEDED) -> tuple[BuildRequest, BuildStatus]:
    request = BuildRequest(
        build_id=f"{site}{number}",
        site_id=site,
        number=1,
        channel_id=f"{site}-production",
        channel="production",
        mode="released",
        source=TemplateSource(name="static"),
        release_number=number,
    )
    return request, BuildStatus(build_id=request.build_id, state=state, droplet=droplet)


def going(
    builds: list[tuple[BuildRequest, BuildStatus]], *, at: float = LONG_AGO, named: tuple[str, ...] = (), sites: str = "ab"
) -> list[str]:
    droplets = {status.droplet: at for _, status in builds}
    return list(unneeded(droplets, builds, Needs(frozenset(named), frozenset(sites)), NOW))


def test_the_newest_of_each_channel_stay() -> None:
    builds = [built("a", number, f"a{number:02}") for number in range(1, KEPT_DROPLETS + 3)] + [built("b", 1, "b01")]
    assert going(builds) == ["a01", "a02"]


def test_what_a_channel_wants_or_serves_stays_however_old() -> None:
    builds = [built("a", number, f"a{number:02}") for number in range(1, KEPT_DROPLETS + 3)]
    assert going(builds, named=("a01",)) == ["a02"]


def test_droplets_of_a_deleted_site_go() -> None:
    assert going([built("a", 1, "a01"), built("b", 1, "b01")], sites="b") == ["a01"]


def test_a_droplet_that_two_sites_share_stays_while_one_needs_it() -> None:
    builds = [built("a", 1, "same"), built("b", 1, "same")]
    assert going(builds, sites="b") == []
    assert going(builds, sites="") == ["same"]


def test_a_fresh_droplet_that_nobody_names_yet_stays() -> None:
    assert going([built("a", 1, "a01", BuildState.RUNNING)], at=NOW - 60) == []
    assert going([built("a", 1, "a01", BuildState.RUNNING)]) == ["a01"]
