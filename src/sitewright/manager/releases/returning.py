"""Which release a channel can return to, and what became of one that was on trial."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings

from sitewright.domain.events import as_told
from sitewright.domain.states import Mode, Power
from sitewright.errors import ConflictError, NotFoundError
from sitewright.manager.keys import keyed_digest
from sitewright.manager.releases.models import Release, Trial
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.desired import environment
from sitewright.manager.sites.models import Channel


def trial_is_on() -> ConflictError:
    """A release is on trial, and something else was asked for."""
    return ConflictError("A release is on trial.", details="Some visitors get it now.", resolution="Promote it or abort it first.")


def can_try(channel: Channel) -> None:
    """Raise ConflictError when nothing can be put on trial beside what the channel runs."""
    if channel.mode == Mode.LIVE.value:
        raise ConflictError("This site runs straight from its folder; there is nothing to try beside it.")
    if channel.release is None or channel.power != Power.ON.value:
        raise ConflictError("Nothing runs that a new release could be tried beside.", resolution="Deploy it without a trial.")
    if blueprint_of(channel.release.blueprint).process("web") is None:
        raise ConflictError(
            "Only a site with a web process can try a release.", details="This one has none.", resolution="Deploy it without a trial."
        )


def release_to_return_to(channel: Channel, number: int | None) -> Release:
    """The release of that *number*; without one, the newest before the present that visitors ever got.

    Raises NotFoundError when there is none, ConflictError when the channel cannot return to it.
    """
    if channel.release is None:
        raise ConflictError("Nothing was deployed to this site yet.", resolution="Deploy it first.")
    if channel.mode == Mode.LIVE.value:
        raise ConflictError("This site runs straight from its folder; there is no release to return to.")
    if channel.canary_release_id is not None:
        raise trial_is_on()
    rows = Release.objects.filter(channel=channel)
    if number is None:
        found = (
            rows.filter(number__lt=channel.release.number, id__in=kept_releases(channel)).exclude(live_at=None).order_by("-number").first()
        )
        if found is None:
            raise ConflictError(f"There is no release before {channel.release.number} to return to.")
        return found
    wanted = rows.filter(number=number).first()
    if wanted is None:
        raise NotFoundError(f"There is no release {number}.", resolution="The list of releases shows what there is.")
    if wanted.id == channel.release_id:
        raise ConflictError(f"Release {number} is the one that visitors get already.")
    if wanted.id not in kept_releases(channel):
        raise gone(wanted)
    return wanted


def gone(release: Release) -> ConflictError:
    """It cannot be returned to: its files were given up."""
    when = f" since {release.gone_at:%Y-%m-%d}" if release.gone_at else ""
    return ConflictError(
        f"The files of release {release.number} are not kept any more{when}.",
        details="Only those of the newest few releases are.",
        resolution="Deploy its source again.",
    )


def by_commit(release: Release) -> str:
    """`: 1a2b3c4 Correct the title`, as the end of a sentence; "" when it is of no commit."""
    return f": {release.commit[:7]} {as_told(release.subject)}".rstrip() if release.commit else ""


def _now() -> datetime:
    return datetime.fromtimestamp(runtime().clock.now(), tz=UTC)


def went_live(release: Release) -> None:
    """Visitors get it from now on, with the channel's present variables; what it pushes out of the number that is kept is given up."""
    channel = Channel.objects.select_related("site").get(id=release.channel_id)
    Release.objects.filter(id=release.id).update(live_at=_now(), variables=digests(channel))
    kept = kept_releases(channel)
    Release.objects.filter(channel=channel, gone_at=None).exclude(droplet="").exclude(id__in=kept).update(gone_at=_now())


def digests(channel: Channel) -> dict[str, str]:
    """Name → a keyed digest of each variable: whether one has changed can be told from it, what it was cannot."""
    return {name: keyed_digest(settings.ENCRYPTION_KEYS, f"{name}\0{value}") for name, value in environment(channel)}


def judged(release_id: str, trial: Trial, reason: str = "") -> None:
    """What became of it on trial."""
    Release.objects.filter(id=release_id).update(trial=trial.value, trial_reason=reason[:1000])
