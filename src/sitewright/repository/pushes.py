"""A push under way: what the hook inside the box asks, the manager's verdict, and the deployment's lines back to whoever pushes.

Nothing here is the truth of a push: the operation is, in the manager's database. When this process, the box or the client goes away, the
operation goes on and moves the branch itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitewright.bus.base import Bus
from sitewright.bus.messages import GitOpen, OperationFollow, OperationNews, PushAsked, PushVerdict, RefVerdict
from sitewright.bus.subjects import node_topic
from sitewright.commands.git_repository import MOST_REFS_OF_A_PUSH, NOTHING, is_ref_name
from sitewright.config.settings import Settings
from sitewright.domain.git import HIDDEN, PushAction, RefUpdate
from sitewright.domain.identity import is_id
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.system.accounts import is_root
from sitewright.system.clock import Clock
from sitewright.system.ownership import PASSABLE, make_folder

log = logging.getLogger(__name__)

LONGEST_LINE = 64 * 1024
MOST_OPTIONS = 100
VERDICT_SECONDS = 30.0
PATIENCE_SECONDS = 10.0
"""So long a push waits for a manager that is not there."""
FOLLOW_PATIENCE_SECONDS = 60.0
AGAIN_SECONDS = 0.25
FOLLOW_SECONDS = 3.0
GATHER_SECONDS = 0.04
"""Between two questions how it gets on: what is answered takes the manager's time, which the deployment itself needs then."""
ANSWER_SECONDS = 3.0
"""A manager that was killed in between answers no more: whoever pushes hears of the next one this much later at most."""
LONGEST_REASON = 160
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]|\x1b(?!\[[0-9;]*m)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the hook says first: names, old and new ids, whether each is forced."""

    updates: tuple[tuple[str, str, str, bool], ...]
    options: tuple[str, ...] = ()
    atomic: bool = False

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Asked:
        """From the hook's lines. Raises ValueError."""
        updates: list[tuple[str, str, str, bool]] = []
        options: list[str] = []
        atomic = False
        for line in lines:
            what, _, rest = line.decode("utf-8", "surrogateescape").partition("\t")
            if what == "update":
                old, new, forced, name = rest.split("\t", 3)
                updates.append((name, old, new, forced == "1"))
            elif what == "option":
                options.append(rest.encode("utf-8", "replace").decode())
            elif what == "atomic":
                atomic = True
        return cls(tuple(updates), tuple(options), atomic)


@dataclass(frozen=True, slots=True)
class Report:
    """What the hook tells git of one reference. ``passed_on``: git moves it itself, comparing it with its old value."""

    name: str
    accepted: bool
    passed_on: bool = False
    reason: str = ""


def refused(name: str, reason: str) -> Report:
    """It stays as it is."""
    return Report(name, accepted=False, reason=one_line(reason))


def one_line(text: str) -> str:
    """Short enough to stand beside a reference."""
    line = " ".join(text.split()) or "refused"
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"


def shown(line: str) -> str:
    """A line without what would steer a terminal; colours stay."""
    return _UNSHOWN.sub("", line.rstrip("\r\n"))


def problem_of(asked: Asked) -> str:
    """Why this is not a push that can be judged; "" when it is."""
    if len(asked.updates) > MOST_REFS_OF_A_PUSH:
        return f"more than {MOST_REFS_OF_A_PUSH:,} branches and tags in one push"
    for name, old, new, _ in asked.updates:
        if not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
            return "a commit's id is wrong"
        if name.startswith(HIDDEN):
            return "refs/sitewright is the platform's own"
    return ""


def updates_of(asked: Asked) -> tuple[tuple[RefUpdate, ...], tuple[Report, ...]]:
    """Those that can be judged, and a report for those whose names no branch or tag can have."""
    good, bad = [], []
    for name, old, new, forced in asked.updates:
        if is_ref_name(name):
            good.append(RefUpdate(name, "" if old == NOTHING else old, "" if new == NOTHING else new, forced))
        else:
            bad.append(refused(name, "the name cannot be shown or is too long"))
    return tuple(good), tuple(bad)


class Pushes:
    """Answers hooks of pushes on this node."""

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock

    def open(self) -> None:
        """Remove the sockets of pushes whose node process has ended, and their boxes with it."""
        shutil.rmtree(self._settings.paths.hooks, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def listening(self, request: GitOpen, uid: int) -> AsyncIterator[Path]:
        """Answer the hook of one push for as long as this lasts; the folder in which its socket is."""
        hooks = self._settings.paths.hooks
        make_folder(hooks, PASSABLE)
        folder = hooks / request.session
        make_folder(folder, PASSABLE)
        path = folder / "s"
        talks: set[asyncio.Task[Any]] = set()

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if talks:
                # One push has one hook.
                writer.close()
                return
            task = asyncio.ensure_future(self._answer(request, reader, writer))
            talks.add(task)
            await asyncio.gather(task, return_exceptions=True)

        server = await asyncio.start_unix_server(hear, str(path), limit=LONGEST_LINE)
        try:
            if is_root():
                os.chown(path, uid, uid)
            path.chmod(0o600)
            yield folder
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            shutil.rmtree(folder, ignore_errors=True)

    async def _answer(self, request: GitOpen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hook = _Hook(writer)
        try:
            asked = Asked.read(await _question(reader))
            for report in await self._judge(request, asked, hook):
                await hook.report(report)
            await hook.tell("done")
        except (OSError, ValueError, EOFError) as error:
            log.info("push.hook_lost", extra={"session": request.session, "site": request.site_id, "reason": str(error)[:200]})
        finally:
            writer.close()

    async def _judge(self, request: GitOpen, asked: Asked, hook: _Hook) -> list[Report]:
        problem = problem_of(asked)
        if problem:
            return [refused(name, problem) for name, _, _, _ in asked.updates]
        updates, reports = updates_of(asked)
        if reports and asked.atomic:
            return [*reports, *(refused(update.name, "another one was refused") for update in updates)]
        if not updates:
            return list(reports)
        try:
            verdict = await self._verdict(request, updates, asked)
        except SitewrightError as error:
            await hook.say(f"{error.message} {error.resolution}".strip())
            return [*reports, *(refused(update.name, error.message) for update in updates)]
        return [*reports, *await self._carry_out(request, updates, verdict, hook)]

    async def _verdict(self, request: GitOpen, updates: tuple[RefUpdate, ...], asked: Asked) -> PushVerdict:
        """Ask the manager, and wait a little for one that is not there. A question that may have been heard is not asked twice: it would
        begin the same deployment again."""
        question = PushAsked(
            node=self._settings.node,
            session=request.session,
            site_id=request.site_id,
            user_id=request.user_id,
            updates=updates,
            options=asked.options,
            atomic=asked.atomic,
        )
        began = self._clock.steady()
        while True:
            sent = self._clock.steady()
            try:
                return await self._bus.request(node_topic(self._settings.node, "push"), question, PushVerdict, timeout=VERDICT_SECONDS)
            except UnavailableError as error:
                now = self._clock.steady()
                if now - sent > 1.0 or now - began > PATIENCE_SECONDS:
                    raise UnavailableError(
                        "The platform's manager does not answer, so nothing was deployed by this push.",
                        details=str(error),
                        resolution="Push again in a minute.",
                    ) from error
            await asyncio.sleep(AGAIN_SECONDS)

    async def _carry_out(self, request: GitOpen, updates: tuple[RefUpdate, ...], verdict: PushVerdict, hook: _Hook) -> list[Report]:
        verdicts = {one.name: one for one in verdict.verdicts}
        reports = []
        for update in updates:
            one = verdicts.get(update.name) or RefVerdict(name=update.name, action=PushAction.REFUSE, reason="nobody decided about it")
            for line in one.told:
                await hook.say(line)
            if one.action is PushAction.DEPLOY and is_id(one.operation) and update.new:
                await hook.tell("keep", one.operation, update.new)
                reports.append(await self._follow(request, one, hook))
            elif one.action is PushAction.STORE:
                reports.append(Report(update.name, accepted=True, passed_on=True))
            else:
                reports.append(refused(update.name, one.reason))
        return reports

    async def _follow(self, request: GitOpen, verdict: RefVerdict, hook: _Hook) -> Report:
        """Show the operation's lines until it has ended; what it came to."""
        cursor, heard, told = "", self._clock.steady(), False
        while True:
            question = OperationFollow(operation=verdict.operation, cursor=cursor, wait_seconds=FOLLOW_SECONDS)
            try:
                news = await self._bus.request(
                    node_topic(self._settings.node, "follow"), question, OperationNews, timeout=FOLLOW_SECONDS + ANSWER_SECONDS
                )
            except UnavailableError:
                if self._clock.steady() - heard > FOLLOW_PATIENCE_SECONDS:
                    await hook.say("The platform's manager does not answer. The deployment goes on; the site's page shows how it ends.")
                    return refused(verdict.name, "how the deployment ends is not known yet")
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except SitewrightError as error:
                log.warning("push.not_followed", extra={"operation": verdict.operation, "site": request.site_id, "reason": str(error)})
                return refused(verdict.name, error.message)
            heard, cursor = self._clock.steady(), news.cursor or cursor
            for line in news.lines:
                await hook.say(line)
                told = told or (bool(news.problem) and news.problem in line)
            if news.ended:
                await hook.tell("forget", verdict.operation)
                if news.ok:
                    return Report(verdict.name, accepted=True)
                problem = news.problem or "The deployment failed."
                if not told:
                    await hook.say(problem)
                return refused(verdict.name, f"not deployed: {problem}")
            await asyncio.sleep(GATHER_SECONDS)


class _Hook:
    """The way back to the hook."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def tell(self, *fields: str) -> None:
        """One line."""
        self._writer.write("\t".join(fields).encode("utf-8", "surrogateescape") + b"\n")
        await self._writer.drain()

    async def report(self, report: Report) -> None:
        """What git is to tell of one reference."""
        if report.accepted:
            await self.tell("pass" if report.passed_on else "ok", report.name)
        else:
            await self.tell("ng", report.name, report.reason)

    async def say(self, text: str) -> None:
        """Show *text* to whoever pushes."""
        for line in text.splitlines() or [""]:
            await self.tell("say", shown(line))


async def _question(reader: asyncio.StreamReader) -> list[bytes]:
    """The hook's lines up to `end`. Raises ValueError, EOFError."""
    lines: list[bytes] = []
    while (line := await reader.readline()) != b"end\n":
        if not line.endswith(b"\n"):
            raise EOFError("the hook has gone away")
        lines.append(line[:-1])
        if len(lines) > MOST_REFS_OF_A_PUSH + MOST_OPTIONS:
            raise ValueError("the hook says too much")
    return lines
