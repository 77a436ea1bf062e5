"""What a release's commit says of it: author, subject, and what it changed.

The repository is asked once the release is live, for that takes as long as the rest of a small deploy; what was not asked then, because the
manager was killed, is asked within the hour.
"""

from __future__ import annotations

import logging
from typing import Any

from sitewright.domain.events import EventKind
from sitewright.domain.git import Changes
from sitewright.errors import SitewrightError
from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.returning import by_commit
from sitewright.manager.sites import branches
from sitewright.manager.sites.models import Channel

log = logging.getLogger(__name__)

LONGEST = 200
AT_A_TIME = 20


def describe(release: Release, operation: Operation | None = None) -> None:
    """Fill in what is not known yet; nothing happens when the node cannot say. The line in the timeline of *operation* says it, too."""
    if not release.commit or (release.author and "since" not in (release.changes or {})):
        return
    channel = Channel.objects.select_related("site").get(id=release.channel_id)
    try:
        told = _told(channel, release)
    except SitewrightError:
        log.info("release.not_described", extra={"release": release.id, "site": channel.site.name})
        return
    subject = release.subject or told.get("subject", "")
    Release.objects.filter(id=release.id).update(**{**told, "subject": subject})
    release.subject = subject
    if operation is not None and subject:
        _say_subject(operation, release)


def _say_subject(operation: Operation, release: Release) -> None:
    rows = TimelineEvent.objects.filter(id=f"{operation.id}-0-{EventKind.DEPLOYED.value}")
    for text in rows.values_list("text", flat=True):
        head, commit, rest = text.partition(f": {release.commit[:7]}")
        if commit and rest == ".":
            rows.update(text=f"{head}{by_commit(release)}.")


def describe_forgotten() -> int:
    """Those that a killed manager did not get to; the number that was looked at."""
    rows = list(Release.objects.filter(author="", build__source__kind="commit").exclude(live_at=None).order_by("-created_at")[:AT_A_TIME])
    for release in rows:
        describe(release)
    return len(rows)


def _told(channel: Channel, release: Release) -> dict[str, Any]:
    since = (release.changes or {}).get("since", "")
    found = branches.changes(channel, since, release.commit)
    first = found.commits[:1] or branches.changes(channel, "", release.commit, 1).commits
    told: dict[str, Any] = {"changes": numbers(found) if since else None}
    if first:
        told |= {"author": first[0].author[:LONGEST], "subject": first[0].subject[:LONGEST]}
    return told


def numbers(found: Changes) -> dict[str, int]:
    """How much changed; lines of binary files count for nothing."""
    return {
        "commits": len(found.commits),
        "files": len(found.files) + found.more,
        "added": sum(max(one.added, 0) for one in found.files),
        "removed": sum(max(one.removed, 0) for one in found.files),
    }
