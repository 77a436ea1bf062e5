"""What a node answers on the bus: one handler for each of ``bus.messages.METHODS`` that is the orchestrator's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sitewright.bus.base import Bus, Subscription
from sitewright.bus.messages import (
    METHODS,
    Ack,
    ChannelQuery,
    DesiredDifference,
    DesiredDigest,
    DesiredPut,
    Heartbeat,
    LogPage,
    LogQuery,
    Message,
    NodeStats,
    Nothing,
)
from sitewright.bus.subjects import rpc
from sitewright.errors import NotFoundError
from sitewright.orchestrator.buildlog import Builds, read_build_log
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.files import LiveFiles
from sitewright.orchestrator.heartbeat import Reporter
from sitewright.orchestrator.streams import ExecSessions

LONGEST_WAIT_SECONDS = 25.0
"""Less than a request's own time limit must be; a reader asks again."""

PERSON = "somebody who asked for it"

Handlers = dict[str, Callable[[Any], Awaitable[Message]]]


class NodeService:
    """The orchestrator's methods; reading logs of builds included, running builds not."""

    def __init__(self, orchestrator: Orchestrator, reporter: Reporter, sessions: ExecSessions, files: LiveFiles, builds: Builds) -> None:
        self._orchestrator = orchestrator
        self._builds = builds
        self._reporter = reporter
        self._sessions = sessions
        self._files = files
        self._started = orchestrator.tools.clock.steady()

    def handlers(self) -> Handlers:
        """Method name → handler."""
        return {
            "desired.put": self.put,
            "desired.compare": self.compare,
            "channel.state": self.state,
            "channel.wake": self.wake,
            "log.read": self.read_log,
            "exec.open": self._sessions.open,
            "files.list": self._files.list,
            "files.read": self._files.read,
            "files.write": self._files.write,
            "files.delete": self._files.delete,
            "stats": self.stats,
        }

    async def put(self, message: DesiredPut) -> Ack:
        """Kept on disk before this returns."""
        await self._orchestrator.put(message.channel)
        return Ack()

    async def compare(self, message: DesiredDigest) -> DesiredDifference:
        """What is missing here and what is in excess; removed channels that the manager no longer knows are forgotten."""
        self._orchestrator.forget_removed(frozenset(message.generations))
        wanted, excess = self._orchestrator.store.compare(message.generations)
        self._orchestrator.agreed = not wanted and not self._orchestrator.store.damaged
        if message.full:
            self._reporter.want_full()
        return DesiredDifference(wanted=wanted, excess=excess)

    async def state(self, message: ChannelQuery) -> Heartbeat:
        """What this node does for one channel. Raises NotFoundError when it was told nothing about it."""
        if self._orchestrator.store.get(message.channel_id) is None:
            raise NotFoundError("This node knows nothing of that channel.")
        return await self._reporter.message((message.channel_id,), with_stats=True)

    async def wake(self, message: ChannelQuery) -> Ack:
        """Wake a channel because a person asks; nothing happens when it is awake. Answers when it was begun, not when it is done.

        Raises NotFoundError when this node was told nothing about it.
        """
        if self._orchestrator.store.told(message.channel_id) is None:
            raise NotFoundError("This node knows nothing of that channel.")
        await self._orchestrator.rouse(message.channel_id, PERSON)
        return Ack()

    async def read_log(self, query: LogQuery) -> LogPage:
        """Lines of a build, or of a channel's processes."""
        wait = min(max(query.wait_seconds, 0.0), LONGEST_WAIT_SECONDS)
        if query.build_id:
            return await read_build_log(self._builds, query, wait)
        desired = self._orchestrator.store.get(query.channel_id)
        if desired is None:
            raise NotFoundError("There is no log of that channel on this node.")
        folder = self._orchestrator.tools.settings.paths.channel_logs(desired.site_id, desired.channel)
        return await self._orchestrator.tools.logs.read(
            folder, query.process, query.cursor, tail=query.tail, limit=query.limit, wait_seconds=wait
        )

    async def stats(self, _: Nothing) -> NodeStats:
        """The node's own figures."""
        return NodeStats(
            node=self._orchestrator.tools.settings.node,
            instances=self._orchestrator.instance_count,
            channels=len(self._orchestrator.store.all()),
            queue=self._orchestrator.applier.busy,
            uptime_seconds=self._orchestrator.tools.clock.steady() - self._started,
            loop_seconds=self._orchestrator.loop_seconds,
            extra={"exec_sessions": len(self._sessions)},
        )


async def serve(bus: Bus, node: str, handlers: Handlers) -> list[Subscription]:
    """Answer these methods. Raises KeyError for one that is not in ``METHODS``."""
    return [await bus.serve(rpc(node, method), METHODS[method][0], handler) for method, handler in handlers.items()]
