"""From rows to what a node is told, and telling it. The rows are the truth; telling may be lost and is repeated."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import F

from sitewright.bus.messages import Ack, DesiredPut
from sitewright.domain.channel import ChannelKind
from sitewright.domain.desired import Canary, DesiredChannel, Strategy
from sitewright.domain.release import Release as ReleaseValue
from sitewright.domain.route import Affinity
from sitewright.domain.states import Mode, Power
from sitewright.errors import ConflictError, EngineError
from sitewright.manager.bus import NodeClient
from sitewright.manager.keys import decrypt
from sitewright.manager.releases.models import Release
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.models import Channel, RemovedChannel
from sitewright.manager.sites.scale import scale_of, wanted_memory
from sitewright.manager.sites.wishes import sleep_seconds, wishes_of
from sitewright.manager.teams.allowance import sleep_of, visits_of
from sitewright.manager.teams.plans import allowance_for


def release_value(release: Release | None) -> ReleaseValue | None:
    """A release row as a value."""
    if release is None:
        return None
    return ReleaseValue(
        id=release.id,
        number=release.number,
        droplet=release.droplet,
        blueprint=blueprint_of(release.blueprint),
        commit=release.commit,
    )


def environment(channel: Channel) -> tuple[tuple[str, str], ...]:
    """Names and values, deciphered, by name; without the secret ones where foreign code runs, whoever has set them."""
    rows = channel.variables.order_by("name")
    if foreign(channel):
        rows = rows.filter(secret=False)
    return tuple((var.name, decrypt(settings.ENCRYPTION_KEYS, var.sealed)) for var in rows)


def foreign(channel: Channel) -> bool:
    """Whether it shows a pull request from a fork: code of somebody who is not in the team."""
    kind = channel.kind == ChannelKind.PREVIEW.value
    return kind and Channel.objects.filter(id=channel.id, pull_request__fork=True).exists()


def desired_of(channel: Channel) -> DesiredChannel:
    """Everything its node needs to know of *channel*."""
    allowance = allowance_for(channel.site.team)
    return DesiredChannel(
        site_id=channel.site_id,
        site_name=channel.site.name,
        number=channel.site.number,
        channel_id=channel.id,
        channel=channel.name,
        generation=channel.generation,
        mode=Mode(channel.mode),
        power=Power(channel.power),
        release=release_value(channel.release),
        scale=scale_of(channel, allowance),
        env=tuple({**dict(wishes_of(channel).env), **dict(environment(channel))}.items()),
        hosts=tuple(channel.routes.values_list("host", flat=True)),
        restart=channel.restart,
        sleep=sleep_of(allowance, *sleep_seconds(channel)),
        affinity=Affinity(channel.affinity),
        canary=_canary(channel),
        strategy=Strategy(channel.strategy),
        max_surge=channel.max_surge,
        visits=visits_of(allowance, channel.visits),
        disk_bytes=allowance.disk_bytes,
        data_channel=channel.data_of.name if channel.data_of else "",
        kept=_kept_droplets(channel),
    )


def _kept_droplets(channel: Channel) -> tuple[str, ...]:
    """Of releases that it can return to."""
    from sitewright.manager.releases.services import kept_releases  # noqa: PLC0415 - builds need environments

    rows = Release.objects.filter(id__in=kept_releases(channel)).exclude(droplet="")
    return tuple(sorted(set(rows.values_list("droplet", flat=True))))


def _canary(channel: Channel) -> Canary | None:
    release = release_value(channel.canary_release)
    return Canary(release, channel.canary_slots) if release is not None else None


def removed_desired(tomb: RemovedChannel) -> DesiredChannel:
    """What makes a node delete a channel's files."""
    return DesiredChannel(
        site_id=tomb.site_id,
        site_name=tomb.site_name,
        number=tomb.number,
        channel_id=tomb.id,
        channel=tomb.name,
        generation=tomb.generation,
        power=Power.OFF,
        removed=True,
    )


def change(channel: Channel, **fields: Any) -> int:
    """Change what is wanted; the new generation. Raises ConflictError when somebody else changed it meanwhile.

    What follows from the change and the team's plan (the memory that it may take) is written beside it.
    """
    rows = Channel.objects.filter(id=channel.id, generation=channel.generation)
    if not rows.update(generation=F("generation") + 1, **fields):
        raise ConflictError("Somebody else has just changed this site.", resolution="Look again, then repeat it.")
    channel.refresh_from_db()
    allowance = allowance_for(channel.site.team)
    channel.wanted_memory_bytes, channel.plan_stamp = wanted_memory(channel, allowance), allowance.stamp
    Channel.objects.filter(id=channel.id).update(wanted_memory_bytes=channel.wanted_memory_bytes, plan_stamp=channel.plan_stamp)
    return channel.generation


def tell(node: str, desired: DesiredChannel) -> None:
    """Give a node its desired state. Raises UnavailableError, or EngineError when it could not keep it."""
    answer = NodeClient(runtime().bus, node).ask("desired.put", DesiredPut(channel=desired), Ack)
    if answer.problem:
        raise EngineError("The node could not take the change.", details=answer.problem)


def push(channel_id: str) -> None:
    """Tell its node what is wanted of this channel now; a channel that is being removed is told so again."""
    tomb = RemovedChannel.objects.filter(id=channel_id).first()
    if tomb is not None:
        tell(tomb.node, removed_desired(tomb))
        return
    channel = Channel.objects.select_related("site__team", "release").get(id=channel_id)
    tell(channel.node, desired_of(channel))
