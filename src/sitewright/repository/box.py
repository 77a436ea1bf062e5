"""Where git runs: a box of the engine as the site's user, with the repository, our configuration over the repository's own, and no network.

git never runs outside of one: what is in a repository is its pushers' to choose.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shlex
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sitewright.commands import git_repository as commands
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.limits import MIB, Limits
from sitewright.engines.base import Conversation, Engine, Exit, JobSpec, Mount, Sandboxed
from sitewright.errors import EngineError, QuotaError
from sitewright.repository.place import Place
from sitewright.repository.upkeep import Upkeep, told_of
from sitewright.system.ownership import make_folder

GIT_LIMITS = Limits(memory_bytes=512 * MIB, cpu_millicores=1000, pids=32, open_files=1024, scratch_bytes=64 * MIB)
ASK_SECONDS = 30.0
TIDY_SECONDS = 900.0
MOST_OUTPUT = 8 * MIB
_LAST_OWN_CODE = 128
"""Above is who was ended by a signal."""
_INSIDE = Path(__file__).with_name("inside")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. ``error`` is its standard error as text."""

    exit: Exit
    output: bytes
    error: str

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.exit.code == 0


@dataclass(frozen=True, slots=True)
class Box:
    """What one command gets besides the repository. ``writable``: it may change the repository."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    writable: bool = False
    network: bool = False
    seconds: float = ASK_SECONDS
    most_file_bytes: int = 0
    """No file that it writes may be larger; 0 is any size."""


class Boxes:
    """Runs git for all sites of this node."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._paths = settings.paths
        self._engine = engine
        self._tools: Path | None = None
        self.upkeep = Upkeep(settings.paths.repository_notes, settings.paths.repository, self._tidy)
        self._most_bytes = settings.repository_mb * MIB

    @property
    def tools(self) -> Path:
        """The folder of this version's configuration, hooks and scripts; laid out when first asked for."""
        if self._tools is None or not self._tools.is_dir():
            self._tools = lay_out_tools(self._paths.repository_tools)
        return self._tools

    def job(self, place: Place, box: Box) -> JobSpec:
        """The job that runs it."""
        tools = self.tools
        mounts = (
            Mount(place.folder, commands.REPOSITORY, writable=box.writable),
            Mount(tools / "config", f"{commands.REPOSITORY}/config"),
            Mount(tools, commands.TOOLS),
            *box.mounts,
        )
        line = "exec " + shlex.join(box.argv)
        if box.most_file_bytes:
            line = f"ulimit -f {max(1, box.most_file_bytes // 512)}; {line}"
        environment = tuple(dict((*commands.ENVIRONMENT, *box.env)).items())
        sandboxed = Sandboxed(place.uid, line, environment, mounts, GIT_LIMITS, network=box.network, workdir="/tmp")  # noqa: S108
        return JobSpec(new_id(), sandboxed, box.seconds)

    @contextlib.asynccontextmanager
    async def conversing(self, place: Place, box: Box) -> AsyncIterator[Conversation]:
        """Start it with its streams in our hands; at the end of this nothing of it runs. Raises EngineError."""
        async with contextlib.AsyncExitStack() as stack:
            by_itself = await stack.enter_async_context(self.upkeep.writing(place)) if box.writable else None
            talk = await self._engine.converse(self.job(place, box))
            try:
                yield talk
            finally:
                await talk.kill()
                if by_itself is not None and 0 <= (await talk.wait()).code <= _LAST_OWN_CODE:
                    by_itself()

    async def ask(self, place: Place, box: Box, told: bytes = b"") -> Answer:
        """Run it to its end with *told* as its input. Raises EngineError, QuotaError when it says more than is taken."""
        async with self.conversing(place, box) as talk:
            return await _ask(talk, told, box.seconds)

    async def _tidy(self, place: Place, mode: str) -> dict[str, object]:
        box = Box(commands.script("tidy", mode, str(self._most_bytes)), writable=True, seconds=TIDY_SECONDS)
        talk = await self._engine.converse(self.job(place, box))
        try:
            answer = await _ask(talk, b"", TIDY_SECONDS)
        finally:
            await talk.kill()
        return told_of(answer.output, answer.error)


async def _ask(talk: Conversation, told: bytes, seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds + 30):
            _, output, error = await asyncio.gather(_tell(talk, told), _all(talk.read), _all(talk.read_error))
        return Answer(await talk.wait(), output, error.decode(errors="replace"))
    except TimeoutError as late:
        raise EngineError("git did not come to an end.", resolution="Try again.") from late


async def _tell(talk: Conversation, told: bytes) -> None:
    if told:
        await talk.write(told)
    await talk.write(b"")


async def _all(read: Callable[[], Awaitable[bytes]]) -> bytes:
    output = bytearray()
    while piece := await read():
        output += piece
        if len(output) > MOST_OUTPUT:
            raise QuotaError("The repository has more to say than can be shown.", resolution="Look at it with git on your machine.")
    return bytes(output)


def lay_out_tools(shelf: Path) -> Path:
    """A folder below *shelf* with configuration, hooks and scripts of this version, where every site's box can read it and none change
    it; made if it is missing. Raises OSError."""
    scripts = sorted(_INSIDE.glob("*.py"))
    files = {f"{path.name}": path.read_bytes() for path in scripts if path.name != "__init__.py"}
    files["config"] = commands.configuration().encode()
    files["excludes"] = commands.EXCLUDED.encode()
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(files.items()))).hexdigest()[:16]
    folder = shelf / digest
    if folder.is_dir():
        return folder
    make_folder(shelf, 0o711)
    fresh = shelf / f".{secrets.token_hex(4)}"
    make_folder(fresh, 0o755)
    make_folder(fresh / "hooks", 0o755)
    for name, data in files.items():
        (fresh / name).write_bytes(data)
        (fresh / name).chmod(0o644)
    for name, source in (("proc-receive", "proc_receive.py"), ("askpass", "askpass.py")):
        (fresh / "hooks" / name).write_bytes(files[source])
        (fresh / "hooks" / name).chmod(0o755)
    try:
        fresh.rename(folder)
    except OSError:
        shutil.rmtree(fresh)
        if not folder.is_dir():
            raise
    return folder
