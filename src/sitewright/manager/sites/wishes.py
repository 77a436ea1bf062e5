"""What a channel's release wishes in its configuration file. The owner's own settings go before it, and the plan bounds both.

A preview runs one copy of everything and sleeps as the plan says, whatever the file on its branch asks for: anybody's branch could ask.
"""

from __future__ import annotations

from sitewright.domain.channel import ChannelKind
from sitewright.domain.pages import NO_WISHES, Wishes
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.allowance import LEAST_CPU_MILLICORES, LEAST_MEMORY_MB

Figures = dict[str, dict[str, int]]
"""Process type → `count`, `memory_mb`, `cpu_millicores`, as far as something was said."""


def wishes_of(channel: Channel) -> Wishes:
    """Of the release that its visitors get; while there is none, of the one on trial."""
    release = channel.release or channel.canary_release
    return blueprint_of(release.blueprint).wishes_for(channel.name) if release is not None else NO_WISHES


def figures_of(channel: Channel, most_copies: int) -> Figures:
    """The scale that is wished for, within what is possible at all; of a release on trial only what the other one says nothing of."""
    found: Figures = {}
    for release in (channel.canary_release, channel.release):
        wishes = blueprint_of(release.blueprint).wishes_for(channel.name) if release is not None else NO_WISHES
        for process, count in () if _is_preview(channel) else wishes.count:
            found.setdefault(process, {})["count"] = min(max(count, 1 if process == "web" else 0), most_copies)
        for process, memory in wishes.memory_mb:
            found.setdefault(process, {})["memory_mb"] = max(memory, LEAST_MEMORY_MB)
        for process, cpu in wishes.cpu_millicores:
            found.setdefault(process, {})["cpu_millicores"] = max(cpu, LEAST_CPU_MILLICORES)
    return found


def sleep_seconds(channel: Channel) -> tuple[float | None, float | None]:
    """(freeze, stop) after so many idle seconds: the owner's, else what is wished for, else None for the plan's."""
    freeze, stop = channel.freeze_after_seconds, channel.stop_after_seconds
    if freeze is not None or stop is not None:
        return freeze, stop
    wishes = NO_WISHES if _is_preview(channel) else wishes_of(channel)
    return wishes.freeze_after_seconds, wishes.stop_after_seconds


def _is_preview(channel: Channel) -> bool:
    return channel.kind == ChannelKind.PREVIEW.value
