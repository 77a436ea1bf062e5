"""What a session is with: a command beside an instance, in a box of its own, among a live folder's files, or a port of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sitewright.bus.messages import ExecOpen
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.identity import new_id
from sitewright.domain.states import Mode
from sitewright.engines.base import EngineState, ExecSession, Observed, TerminalSize
from sitewright.errors import ConflictError, NotFoundError
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.folders import make_folders
from sitewright.orchestrator.one_off import OneOffs
from sitewright.orchestrator.ports import open_port
from sitewright.orchestrator.specs import files_spec

ENV = "/usr/bin/env"


@dataclass(frozen=True, slots=True)
class Opened:
    """``text`` is a line for the timeline, and ``box`` what ends with the session."""

    process: ExecSession
    site_id: str
    kind: EventKind
    text: str
    box: Observed | None = None


class Openings:
    """Opens whatever a request asks for."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._tools = orchestrator.tools
        self._boxes = OneOffs(orchestrator)

    async def open(self, request: ExecOpen) -> Opened:
        """Raises NotFoundError, ConflictError when nothing runs or the channel is not live, QuotaError for too many, EngineError."""
        if request.files:
            return await self._files(request)
        box = await self._boxes.open(request.channel_id) if request.one_off else None
        if box is None:
            await self._orchestrator.rouse(request.channel_id, "a terminal")
        target = box or self.running(request.channel_id, request.process)
        if target is None and request.or_box:
            target = box = await self._boxes.open(request.channel_id)
        if target is None:
            raise ConflictError(
                f"No “{request.process}” process of this site is running.",
                resolution="Start the site first; a static site has no processes.",
            )
        try:
            return await self._beside(request, target, box)
        except BaseException:
            if box is not None:
                self._boxes.end(box)
            raise

    def end(self, box: Observed) -> None:
        """Nobody is in it any more."""
        self._boxes.end(box)

    def running(self, channel_id: str, process: str) -> Observed | None:
        """The instance of that process type that was started last."""
        running = [
            item for item in self._orchestrator.observed(channel_id) if item.spec.process == process and item.state is EngineState.RUNNING
        ]
        return max(running, key=lambda item: item.started_at, default=None)

    async def _beside(self, request: ExecOpen, target: Observed, box: Observed | None) -> Opened:
        if request.port:
            process = await open_port(self._tools.engine, target, request.port)
            text = f"A connection to port {request.port} of {target.spec.process} was opened."
            return Opened(process, target.spec.site_id, EventKind.PORT_OPENED, text)
        terminal = TerminalSize(request.rows, request.columns) if request.terminal else None
        variables = tuple(f"{name}={value}" for name, value in request.env)
        argv = (ENV, *variables, *request.argv) if variables else request.argv
        process = await self._tools.engine.exec(target.spec.id, argv, terminal, apart=request.metered)
        where = f"beside {target.spec.process}" if box is None else "by itself"
        text = f"A command was run {where}: {as_told(told_program(request.argv))}."
        return Opened(process, target.spec.site_id, EventKind.EXEC_OPENED, text, box)

    async def _files(self, request: ExecOpen) -> Opened:
        desired = self._live(request.channel_id)
        if not Path(request.argv[0]).exists():
            raise ConflictError(
                f"{as_told(told_program(request.argv))} is not installed on this machine.",
                resolution="Whoever runs it installs openssh-client, openssh-sftp-server and rsync; `sitewright doctor` says so.",
            )
        settings = self._tools.settings
        make_folders(settings, desired)
        talk = await self._tools.engine.converse(files_spec(settings, desired, request.argv, new_id()))
        text = f"Files of {desired.channel} were opened with {as_told(told_program(request.argv))}."
        return Opened(talk, desired.site_id, EventKind.FILES_OPENED, text)

    def _live(self, channel_id: str) -> DesiredChannel:
        desired = self._orchestrator.store.get(channel_id)
        if desired is None or desired.removed:
            raise NotFoundError("This node knows nothing of that site.", resolution="Deploy it first.")
        if desired.mode is not Mode.LIVE:
            raise ConflictError("This channel runs releases; their files are not changed by hand.", resolution="Deploy a new release.")
        return desired


def told_program(argv: tuple[str, ...]) -> str:
    """The name of what somebody runs; arguments may hold secrets."""
    words = argv[2].split() if argv[:2] == ("/bin/sh", "-c") and len(argv) > 2 else argv[:1]
    name = words[0].rpartition("/")[2] if words else ""
    return "a shell" if name == "command" else name
