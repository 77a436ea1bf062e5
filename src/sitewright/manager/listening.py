"""What the manager hears on the bus. Rows are written in one thread, in the order in which messages came."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import Error, connection

from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, BuildStatus, EventBatch, Heartbeat, Hello, Message, OperationFollow, PushAsked
from sitewright.bus.subjects import MANAGER_QUEUE, node_topic
from sitewright.errors import SitewrightError
from sitewright.manager.audit.services import record_events
from sitewright.manager.operations.services import ring_site
from sitewright.manager.releases.services import FINISHED, record_build_status
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import reports
from sitewright.manager.sites.heard import Heard
from sitewright.manager.sites.news import news
from sitewright.manager.sites.pushes import judge
from sitewright.manager.sites.spreading import spread
from sitewright.manager.teams.plans import changed_plans

log = logging.getLogger(__name__)

T = TypeVar("T")
COMPARE_SECONDS = 30.0
COMPARE_SHARE = 1000
"""Comparing takes a thousandth of one processor at most: with 20,000 channels it is done every few minutes …"""
COMPARE_LONGEST_SECONDS = 600.0
"""… but so often in any case."""
SPREAD_SECONDS = 2.0
SPREAD_LOOKS = 15
"""So many times that long passes until plans are looked at that another process may have changed."""
ANSWERERS = 4
"""Pushes judged and operations looked at at once."""


class Listener:
    """Writes what nodes say, and compares with each node every 30 s and whenever one says hello."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reports")
        self._comparer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compare")
        self._answerers = ThreadPoolExecutor(max_workers=ANSWERERS, thread_name_prefix="answers")
        self._heard = Heard()
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self, bus: Bus) -> None:
        """Subscribe to everything that nodes say."""
        await bus.subscribe(node_topic("*", "heartbeat"), Heartbeat, self._heartbeat)
        await bus.subscribe(node_topic("*", "build"), BuildStatus, self._build)
        await bus.serve(node_topic("*", "events"), EventBatch, self._events, MANAGER_QUEUE)
        await bus.serve(node_topic("*", "hello"), Hello, self._hello, MANAGER_QUEUE)
        await bus.serve(node_topic("*", "push"), PushAsked, self._push, MANAGER_QUEUE)
        await bus.serve(node_topic("*", "follow"), OperationFollow, self._follow, MANAGER_QUEUE)
        self._tasks = [asyncio.create_task(work()) for work in (self._compare_for_ever, self._spread_for_ever)]

    def close(self) -> None:
        """End the writing threads; what was heard is written first."""
        self._writer.submit(connection.close)
        self._writer.shutdown(wait=True)
        self._answerers.shutdown(wait=False, cancel_futures=True)
        self._comparer.submit(connection.close)
        self._comparer.shutdown(wait=False, cancel_futures=True)

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, _with_kept_connection, work)

    async def _heartbeat(self, subject: str, beat: Heartbeat) -> None:
        if not _speaks_for_itself(subject, beat.node):
            return
        complete = self._heard.note(beat, runtime().clock.now())
        untold = await self._write(lambda: _heard(beat, complete))
        if untold:
            self._later(lambda: reports.push_soon(untold))

    async def _build(self, subject: str, status: BuildStatus) -> None:
        await self._write(lambda: _built(subject.split(".")[1], status))

    async def _events(self, batch: EventBatch) -> Message:
        await self._write(lambda: record_events(batch.events))
        return Ack()

    async def _hello(self, hello: Hello) -> Message:
        await self._write(lambda: reports.record_hello(hello))
        self._later(lambda: _compare(hello.node, full=False))  # it reports everything by itself
        return Ack()

    async def _push(self, asked: PushAsked) -> Message:
        return await self._answer(lambda: judge(asked))

    async def _follow(self, asked: OperationFollow) -> Message:
        return await news(asked, self._answer)

    async def _answer(self, work: Callable[[], T]) -> T:
        """In a thread of those that answer questions: they may have to ask a node themselves, and keep nobody's report waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._answerers, _with_kept_connection, work)

    def _later(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """In the thread that talks to nodes: one that is slow to answer delays nobody's reports."""
        return asyncio.get_running_loop().run_in_executor(self._comparer, _with_kept_connection, work)

    async def _compare_for_ever(self) -> None:
        pause = COMPARE_SECONDS
        while True:
            await asyncio.sleep(pause)
            work = self._later(lambda: _compare(self._node, full=not self._heard.everything(self._node)))
            await asyncio.wait([work])
            spent = 0.0 if work.cancelled() or work.exception() is not None else work.result()
            pause = min(max(COMPARE_SECONDS, COMPARE_SHARE * spent), COMPARE_LONGEST_SECONDS)

    async def _spread_for_ever(self) -> None:
        for count in itertools.count():
            await asyncio.sleep(SPREAD_SECONDS)
            if changed_plans.is_set() or count % SPREAD_LOOKS == 0:
                changed_plans.clear()
                await asyncio.wait([self._later(_spread)])


def _speaks_for_itself(subject: str, node: str) -> bool:
    """The server lets a node publish under its own name only; the message must carry the same name."""
    if subject.split(".")[1] == node:
        return True
    log.warning("node.false_name", extra={"subject": subject, "node": node})
    return False


def _heard(beat: Heartbeat, complete: float) -> list[str]:
    """Write it down; ids of the channels of which their node has to be told something. *complete*: see ``Heard.note``."""
    news = reports.record_heartbeat(beat)
    if complete:
        reports.forget_instances(beat.node, complete)
    untold = reports.forget_aborted(beat)
    for site_id in news:
        ring_site(site_id)
    return untold


def _built(node: str, status: BuildStatus) -> None:
    """Only its end is worth waking the operation for; what it is at is shown by the operation's own next look."""
    site_id = record_build_status(status, node)
    if site_id is not None and status.state.value in FINISHED:
        ring_site(site_id)


def _spread() -> None:
    try:
        behind = spread()
        if behind:
            changed_plans.set()
        reports.push_soon(behind)
    except Error:
        changed_plans.set()
        log.exception("plans.not_spread")
        connection.close()


def _compare(node: str, *, full: bool) -> float:
    """Seconds of processor time that it took."""
    began = time.thread_time()
    try:
        reports.compare(node, full=full)
    except SitewrightError as error:
        log.warning("desired.not_compared", extra={"node": node, "reason": str(error)})
    return time.thread_time() - began


def _with_kept_connection(work: Callable[[], T]) -> T:
    """These threads have something to do every few seconds: opening a connection each time would cost more than most of it does."""
    try:
        return work()
    except Error:
        connection.close()
        raise
