"""One line of a site's timeline: what happened, when, by whom, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What can happen to a site. The value is the constant name in logs, the API and the database."""

    CREATED = "site.created"
    RENAMED = "site.renamed"
    DELETED = "site.deleted"
    STARTED = "site.started"
    STOPPED = "site.stopped"
    RESTARTED = "site.restarted"
    ENV_CHANGED = "env.changed"
    BUILD_SUCCEEDED = "build.succeeded"
    BUILD_FAILED = "build.failed"
    DEPLOYED = "release.live"
    DEPLOY_FAILED = "release.failed"
    INSTANCE_READY = "instance.ready"
    INSTANCE_CRASHED = "instance.crashed"
    INSTANCE_OUT_OF_MEMORY = "instance.out_of_memory"
    INSTANCE_UNHEALTHY = "instance.unhealthy"
    INSTANCE_BACKOFF = "instance.backoff"
    LOG_LINES_DROPPED = "log.dropped"
    EXEC_OPENED = "exec.opened"
    EXEC_CLOSED = "exec.closed"
    MODE_CHANGED = "channel.mode"
    SCALED = "channel.scaled"
    CONFIGURED = "channel.configured"
    ROLLED_BACK = "release.rolled_back"
    CHANGE_FAILED = "change.failed"
    SLEPT = "site.slept"
    WOKE = "site.woke"
    WAKE_FAILED = "site.wake_failed"
    CANARY_STARTED = "canary.started"
    CANARY_PROMOTED = "canary.promoted"
    CANARY_ABORTED = "canary.aborted"
    CRON_STARTED = "cron.started"
    CRON_FINISHED = "cron.finished"
    CRON_FAILED = "cron.failed"
    CRON_MISSED = "cron.missed"
    CRON_SKIPPED = "cron.skipped"
    LIMITED = "limit.hit"
    PUSHED = "git.pushed"
    PUSH_REFUSED = "git.refused"
    PUBLISHED = "git.published"
    CHANNEL_CREATED = "channel.created"
    CHANNEL_CHANGED = "channel.changed"
    CHANNEL_REMOVED = "channel.removed"
    ADOPTED = "release.adopted"
    PREVIEW_OPENED = "preview.opened"
    PREVIEW_CLOSED = "preview.closed"
    PREVIEW_WAITING = "preview.waiting"
    """Of a fork: somebody with the role has to allow it."""
    CONNECTED = "repository.connected"
    DISCONNECTED = "repository.disconnected"
    HOOK_RECEIVED = "repository.event"
    FROZEN = "deploys.frozen"
    UNFROZEN = "deploys.unfrozen"
    FILES_OPENED = "files.opened"
    """By SFTP, scp or rsync."""
    PORT_OPENED = "port.opened"


@dataclass(frozen=True, slots=True)
class Event:
    """What a timeline shows. ``at`` is seconds since the epoch; ``who`` is an e-mail address or "" for the platform; ``id`` makes
    re-delivery harmless."""

    id: str
    kind: EventKind
    site_id: str
    channel_id: str
    at: float
    text: str
    who: str = ""


def as_told(words: str, most: int = 60) -> str:
    """What somebody typed, as part of an event: one line of at most *most* characters, none of which steers a screen or hides others."""
    return "".join(letter if letter.isprintable() else "�" for letter in words[:most])
