"""Operations as values: kinds, when to try again, how long at most."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sitewright.domain.states import OperationState


class OperationKind(StrEnum):
    """What a person can ask for that lasts longer than a request."""

    CREATE = "create"
    DEPLOY = "deploy"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    ENV = "env"
    RENAME = "rename"
    DELETE = "delete"
    SCALE = "scale"
    CONFIGURE = "configure"
    """Sleep, affinity, strategy, limits."""
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    """The release on trial becomes the channel's."""
    ABORT = "abort"
    """The release on trial goes."""
    CHANNEL = "channel"
    """A channel is made, changed (branch, protection, data, release from another channel) or removed."""
    ADOPT = "adopt"
    """A release of one channel becomes another channel's, without a build."""
    PUBLISH = "publish"
    """A live channel's edits are committed to its branch."""
    SYNC = "sync"
    """A connected repository is fetched."""


MOST_ATTEMPTS = 6
"""Tries of one step before the operation fails."""
LONGEST_SECONDS = 1800.0
"""An operation that is not done by then fails, so that none can block its site for ever."""


def retry_delay(attempts: int) -> float:
    """Seconds to wait after the *attempts*-th failed try of a step (1 is the first): 1, 2, 4 … 30."""
    return float(min(2 ** max(attempts - 1, 0), 30))


@dataclass(frozen=True, slots=True)
class Operation:
    """A piece of durable work as it travels. Times are seconds since the epoch."""

    id: str
    kind: OperationKind
    state: OperationState
    site: str
    created_at: float
    finished_at: float = 0.0
    message: str = ""
