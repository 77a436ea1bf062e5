"""Which handler does which kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sitewright.domain.operation import OperationKind
from sitewright.manager.operations.handlers import Handler
from sitewright.manager.operations.kinds import adopt, canary, change, channel, delete, deploy, env, power, publish, rename, rollback, sync


@cache
def all_handlers() -> Mapping[OperationKind, Handler]:
    """A handler for every kind."""
    handlers: tuple[Handler, ...] = (
        deploy.Create(),
        deploy.Deploy(),
        power.Start(),
        power.Stop(),
        power.Restart(),
        env.ChangeEnv(),
        rename.Rename(),
        change.Scale(),
        change.Configure(),
        rollback.Rollback(),
        canary.Promote(),
        canary.Abort(),
        publish.Publish(),
        adopt.Adopt(),
        channel.ChangeChannel(),
        delete.Delete(),
        sync.Sync(),
    )
    return {handler.kind: handler for handler in handlers}
