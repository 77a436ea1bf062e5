"""A release of one channel becomes another's: the same droplet under the other's variables, without a build."""

from __future__ import annotations

from django.db.models import F

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.deploy import Deploy, replaced_commit
from sitewright.manager.operations.kinds.rollout import channel_of
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.returning import by_commit, gone, trial_is_on
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_not_frozen

TAKEN_ALONG = ("droplet", "size_bytes", "blueprint", "commit", "author", "subject", "build_seconds")


class Adopt(Deploy):
    """Everything after the build of a deploy."""

    kind = OperationKind.ADOPT

    def __init__(self) -> None:
        super().__init__()
        self.steps = (
            StepPlan("release", "Take the release over", self._take),
            StepPlan("rollout", "Switch visitors to it", self._switch),
        )

    def _take(self, context: Context) -> Outcome:
        channel = channel_of(context)
        check_not_frozen(channel)
        if channel.canary_release_id is not None and not context.params.get("replace"):
            raise trial_is_on()
        original = Release.objects.select_related("channel__site").filter(id=context.params["release"]).first()
        if original is None:
            raise ConflictError(f"The channel “{context.params['from']}” was removed meanwhile.")
        if original.id not in kept_releases(original.channel):
            raise gone(original)
        if "release" not in context.found():
            with context.fenced():
                context.remember(release=_copy(context, original, channel).id)
        number = Release.objects.get(id=context.found()["release"]).number
        return Done(f"Release {original.number} of {original.channel.name} is release {number} here.")

    def _told_live(self, context: Context, release: Release) -> None:
        number = release.adopted_from.number if release.adopted_from else release.number
        text = f"Release {number} of “{context.params['from']}” is live here as release {release.number}{by_commit(release)}."
        if context.params.get("why"):
            text = f"{text} {str(context.params['why']).rstrip('.')}."
        happened(context.operation, EventKind.ADOPTED, text)


def _copy(context: Context, original: Release, channel: Channel) -> Release:
    Channel.objects.filter(id=channel.id).update(release_counter=F("release_counter") + 1)
    channel.refresh_from_db(fields=["release_counter"])
    same = {name: getattr(original, name) for name in TAKEN_ALONG}
    same |= replaced_commit(channel.id)
    return Release.objects.create(
        channel=channel, number=channel.release_counter, adopted_from=original, created_by=context.operation.created_by, **same
    )
