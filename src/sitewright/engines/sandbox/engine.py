"""The embedded engine: every instance is a bubblewrap sandbox on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Awaitable
from pathlib import Path

from sitewright.commands.slirp import RESOLVER
from sitewright.config.settings import Settings
from sitewright.domain.processes import Listen
from sitewright.engines.base import (
    Capability,
    Conversation,
    EngineInfo,
    ExecSession,
    InstanceSpec,
    JobResult,
    JobSpec,
    LogSink,
    Observed,
    Stats,
    TerminalSize,
)
from sitewright.engines.ports import PortFollower
from sitewright.engines.sandbox import adoption, machine, sockets
from sitewright.engines.sandbox.conversation import open_conversation
from sitewright.engines.sandbox.held import Held, clear, end_tree, erase, terminate, watch
from sitewright.engines.sandbox.jobs import group_of, run_job
from sitewright.engines.sandbox.launch import Ground
from sitewright.engines.sandbox.manners import Manners
from sitewright.engines.sandbox.network import NetworkPool, host_egress
from sitewright.engines.sandbox.output import OutputReader, make_pipe_wide
from sitewright.engines.sandbox.prepared import PreparedInstances
from sitewright.engines.sandbox.record import Folder, Record, load, load_exit
from sitewright.engines.sandbox.rootfs import make_base
from sitewright.engines.sandbox.session import Wiring, open_session
from sitewright.engines.sandbox.spawn import Process, close_on_exec
from sitewright.engines.sandbox.starting import Started, start_instance
from sitewright.engines.sandbox.warm import WarmParents, WarmStartError
from sitewright.errors import EngineError, SitewrightError
from sitewright.system.accounts import is_root, router_account
from sitewright.system.clock import Clock
from sitewright.system.processes import Runner

log = logging.getLogger(__name__)

_TERM_AGAIN_SECONDS = 0.05


class SandboxEngine:
    """Keeps the contract of ``Engine`` with bubblewrap, control groups, network namespaces and nftables."""

    def __init__(self, settings: Settings, runner: Runner, clock: Clock) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._runner = runner
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._sink: LogSink = lambda _instance_id, _data: None
        self._ground: Ground | None = None
        self._network: NetworkPool | None = None
        self._warm: WarmParents | None = None
        self._prepared: PreparedInstances | None = None
        self._manners: asyncio.Task[None] | None = None
        self._sessions = 0
        self._ports = PortFollower(runner, clock, lambda instance_id, text: self._sink(instance_id, f"[sitewright] {text}\n".encode()))

    # --- opening and closing ---
    async def open(self, sink: LogSink) -> EngineInfo:
        """Find out what this machine gives, take up what runs already, clean away what a dead engine left."""
        self._sink = sink
        close_on_exec()
        await machine.check_bubblewrap(self._runner)
        egress = host_egress(self._settings.extra_egress)
        slirp = machine.slirp_program() if not is_root() else ""
        for folder in (self._paths.run, self._paths.instances, self._paths.engine):
            folder.mkdir(parents=True, exist_ok=True)
            # Others pass through; the run folder stays writable for the manager's group, who makes its socket there.
            folder.chmod(folder.stat().st_mode & 0o7777 | 0o711)
        root = is_root()
        groups, limits = machine.control_groups(f"sw-{self._paths.tag}") if root else (None, ())
        relay, relayed = machine.relay_program()
        filtered = machine.write_filter(self._paths.engine / "seccomp.bpf")
        self._ground = Ground(
            root=root,
            base=make_base(self._paths.engine / "etc", (RESOLVER,) if slirp else egress.resolvers),
            seccomp=self._paths.engine / "seccomp.bpf" if filtered.ok else None,
            program=(self._paths.engine / "seccomp.bpf").read_bytes() if filtered.ok else b"",
            groups=groups,
            router_group=router_account().gid,
            most_open_files=machine.most_open_files(),
            relay=relay,
            slirp=slirp,
        )
        self._adopt()
        if not root:
            return EngineInfo("sandbox", (filtered, relayed, *machine.ordinary_user(slirp)))
        if groups is not None:
            for name in groups.names() - self._held.keys():
                await clear(groups, name)
            self._manners = asyncio.create_task(Manners(groups, self._weights).run(), name="manners")
        if self._settings.warm_start:
            self._warm = WarmParents(self._ground.base, self._settings, self._runner)
        self._network = NetworkPool(self._paths.tag, self._runner, egress)
        opened = await self._open_network()
        self._prepared = PreparedInstances(self._paths.instances, self._ground, self._network, self._warm)
        return EngineInfo("sandbox", (filtered, relayed, *limits, *opened))

    def _weights(self) -> dict[str, int]:
        """Of everything that runs, by instance."""
        return {name: held.spec.box.limits.cpu_weight for name, held in self._held.items() if held.exit is None and not held.frozen}

    async def _open_network(self) -> tuple[Capability, ...]:
        assert self._network is not None
        in_use = frozenset(held.record.link for held in self._held.values() if held.record.link >= 0)
        try:
            await machine.open_network_tools()
            return await self._network.open(in_use)
        except (SitewrightError, OSError) as error:
            log.warning("network_unavailable", extra={"error": str(error)})
            self._network = None
            note = f"Sites and builds have no network: {error}"
            return (Capability("network", ok=False, note=note, resolution="apt-get install iproute2 nftables, then start again."),)

    def _adopt(self) -> None:
        for entry in sorted(os.scandir(self._paths.instances), key=lambda item: item.name):
            folder = Folder(Path(entry.path))
            record = load(folder)
            if record is None or record.spec.id != entry.name:
                # The engine died before it had noted it: bubblewrap found no options and ran nothing.
                erase(folder)
                continue
            self._hold(record, folder, -1)

    def _hold(self, record: Record, folder: Folder, output: int) -> Held:
        relay = Process(*record.relay) if record.relay[0] else None
        slirp = Process(*record.slirp) if record.slirp[0] else None
        held = Held(record, folder, Process(*record.main), relay, slirp, exit=load_exit(folder))
        self._held[record.spec.id] = held
        if held.exit is not None:
            held.gone.set()
            held.process.forget()
            return held
        if output < 0:
            with contextlib.suppress(OSError):
                output = os.open(folder.output, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        if output >= 0:
            make_pipe_wide(output)
            rate = record.spec.box.limits.log_bytes_per_second
            held.reader = OutputReader(record.spec.id, output, rate, self._sink, self._clock)
        groups = self._ready().groups
        held.frozen = groups is not None and groups.frozen(record.spec.id)
        held.watch = asyncio.get_running_loop().create_task(watch(held, groups), name=f"instance-{record.spec.id}")
        return held

    async def close(self) -> None:
        """Let go of everything without ending it. When nothing runs, nothing stays behind on the machine either."""
        if self._manners is not None:
            self._manners.cancel()
            self._manners = None
        idle = all(held.exit is not None for held in self._held.values())
        if self._prepared is not None:
            await self._prepared.close()
            self._prepared = None
        if self._warm is not None:
            await self._warm.close()
            self._warm = None
        for held in self._held.values():
            held.forget()
        self._held.clear()
        if self._network is not None:
            await self._network.close()
            if idle:
                await self._network.dismantle()
            self._network = None
        groups = self._ground.groups if self._ground is not None else None
        if idle and groups is not None:
            groups.remove_parent()

    async def dismantle(self) -> None:
        """End everything and take back what was changed on this machine: instances, rules, control groups, folders. For `down` with
        removal, and for tests."""
        for instance_id in tuple(self._held):
            await self.stop(instance_id, 0)
            await self.remove(instance_id)
        await self.close()
        shutil.rmtree(self._paths.engine, ignore_errors=True)

    def _ready(self) -> Ground:
        if self._ground is None:
            raise EngineError("The engine is not open yet.")
        return self._ground

    def _running(self, instance_id: str) -> Held:
        held = self._held.get(instance_id)
        if held is None or held.exit is not None or held.process.ended.is_set():
            raise EngineError("The instance is not running.", resolution="Start the site first.")
        return held

    @property
    def warm(self) -> WarmParents | None:
        """Its warm parents; None when there are to be none."""
        return self._warm

    # --- instances ---
    async def start(self, spec: InstanceSpec) -> bool:
        """Start it, once; whether it adopts. Raises EngineError; then nothing of it is left."""
        ground = self._ready()
        async with self._starting.setdefault(spec.id, asyncio.Lock()):
            try:
                if spec.id not in self._held:
                    await self._start(ground, spec)
            finally:
                self._starting.pop(spec.id, None)
        return self._held[spec.id].record.adopting

    async def _start(self, ground: Ground, spec: InstanceSpec) -> None:
        folder = Folder(self._paths.instances / spec.id)
        if spec.socket != self._paths.instance_socket(spec.id):
            raise EngineError("The instance's socket is not where the router looks for it.", details=str(spec.socket))
        started = await self._prepared.begin(spec, self._clock.now()) if self._prepared is not None else None
        if started is None:
            started = await self._start_anew(ground, spec, folder)
        held = self._hold(started.record, folder, started.output)
        held.listener = started.listener
        if sockets.makes_own(spec.listen):
            sockets.publish(held.folder, spec.box.uid, ground.router_group)

    async def _start_anew(self, ground: Ground, spec: InstanceSpec, folder: Folder) -> Started:
        link = (-1, "")
        try:
            if spec.box.network and self._network is not None:
                taken = await self._network.take()
                link = (taken.index, taken.path)
            return await self._begin(ground, spec, folder, link)
        except BaseException:
            await clear(ground.groups, spec.id, folder)
            if link[0] >= 0 and self._network is not None:
                await self._network.give_back(link[0])
            raise

    async def _begin(self, ground: Ground, spec: InstanceSpec, folder: Folder, link: tuple[int, str]) -> Started:
        """As a copy of a warm parent where there is one, else, and when that fails, by its command."""
        copy = await self._warm.copy(spec) if self._warm is not None else None
        if self._warm is not None and copy is not None:
            try:
                started = await start_instance(ground, spec, folder, link, self._clock.now(), copy)
            except BaseException as error:
                copy.close()
                if not isinstance(error, WarmStartError):
                    raise
                log.warning("warm_start_failed", extra={"instance": spec.id, "error": str(error), "details": error.details})
                await clear(ground.groups, spec.id, folder)
            else:
                self._warm.learn(copy)
                return started
        return await start_instance(ground, spec, folder, link, self._clock.now())

    async def prepare(self, spec: InstanceSpec) -> bool:
        """Make it ahead; see ``prepared``."""
        self._ready()
        return self._prepared is not None and spec.id not in self._held and await self._prepared.make(spec)

    async def discard(self, instance_id: str) -> None:
        """Take back what was made ahead."""
        if self._prepared is not None:
            await self._prepared.discard(instance_id)

    @property
    def prepared(self) -> frozenset[str]:
        """The ids of what waits ready-made."""
        return self._prepared.ids if self._prepared is not None else frozenset()

    async def stop(self, instance_id: str, grace_seconds: float) -> None:
        """TERM, wait at most the grace, KILL."""
        held = self._held.get(instance_id)
        if held is None or held.exit is not None:
            return
        groups = self._ready().groups
        deadline = self._clock.steady() + grace_seconds
        told = terminate(held)
        await self.thaw(instance_id)
        while not held.gone.is_set():
            left = deadline - self._clock.steady()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left if told else min(left, _TERM_AGAIN_SECONDS)):
                    await held.gone.wait()
            if not told and not held.gone.is_set():
                told = terminate(held)
        if not held.gone.is_set():
            await end_tree(held, groups)
        await held.gone.wait()

    async def freeze(self, instance_id: str) -> None:
        """Stop its clock. Raises EngineError when it is not running or this machine cannot."""
        held = self._running(instance_id)
        groups = self._ready().groups
        if groups is None or not groups.can_freeze:
            raise EngineError("This machine cannot freeze instances.", resolution="Let idle sites stop instead.")
        groups.freeze(instance_id)
        held.frozen = True

    async def thaw(self, instance_id: str) -> None:
        """Let it go on; nothing happens when it is not frozen."""
        held = self._held.get(instance_id)
        groups = self._ready().groups
        if held is not None and held.frozen and groups is not None:
            groups.thaw(instance_id)
            held.frozen = False

    async def observe(self) -> tuple[Observed, ...]:
        """Everything held, ordered by id."""
        groups = self._ready().groups
        found = []
        for instance_id, held in sorted(self._held.items()):
            kills = groups.oom_kills(instance_id) if groups is not None and held.exit is None and not held.frozen else 0
            found.append(held.observed(memory_kills=kills))
        return tuple(found)

    async def remove(self, instance_id: str) -> None:
        """Forget an exited instance and free what it held. Raises EngineError while it runs."""
        held = self._held.get(instance_id)
        if held is None:
            return
        if held.exit is None:
            raise EngineError("The instance is still running.", resolution="Stop it first.")
        await clear(self._ready().groups, instance_id)
        held.forget()
        erase(held.folder)
        self._held.pop(instance_id, None)
        redirected = self._ports.forget(instance_id)
        if held.record.link >= 0 and self._network is not None:
            # Behind a relay there may be a redirection to the app's own port in it, which would mislead the next one.
            as_new = held.spec.listen is not Listen.PORT or (held.record.adopting and not held.record.relay[0] and not redirected)
            await self._network.give_back(held.record.link, as_new=as_new)

    async def listening(self, instance_id: str) -> bool:
        """Whether the app accepts connections. With a handed-over descriptor: whether it runs (its first HTTP answer says the rest)."""
        held = self._held.get(instance_id)
        if held is None or held.exit is not None or held.process.ended.is_set():
            return False
        spec = held.spec
        if spec.listen is Listen.PORT:
            return adoption.has_adopted(held) or await self._reaches_port(held)
        if sockets.makes_own(spec.listen):
            return sockets.publish(held.folder, spec.box.uid, self._ready().router_group) and sockets.accepts(spec.socket)
        return held.first > 0

    async def _reaches_port(self, held: Held) -> bool:
        reached = await self._ports.reaches(held.spec.id, held.first, held.spec.port)
        if reached and adoption.wants_relay(held) and not held.process.ended.is_set():
            link = held.record.link
            namespace = self._network.link(link).path if link >= 0 and self._network is not None else f"/proc/{held.first}/ns/net"
            adoption.relay_after_all(self._ready(), held, namespace)
        return reached

    async def stats(self, instance_id: str) -> Stats:
        """What it uses; zeros for an unknown or exited one."""
        held, groups = self._held.get(instance_id), self._ready().groups
        return held.stats(groups) if held is not None and held.exit is None and groups is not None else Stats()

    async def exec(self, instance_id: str, argv: tuple[str, ...], terminal: TerminalSize | None, *, apart: bool = False) -> ExecSession:
        """Run *argv* beside the running instance."""
        held = self._running(instance_id)
        if held.frozen:
            raise EngineError("The instance is asleep.", resolution="Wake it with a request, then try again.")
        self._sessions += 1
        return await open_session(self._ready(), held, self._sessions, argv, Wiring(terminal, apart and terminal is None))

    # --- jobs ---
    async def run(self, job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        """Run a job to its end, in a network of its own."""
        ground = self._ready()
        network = self._network if job.box.network else None
        link = await network.take() if network is not None else None
        try:
            return await run_job(ground, job, link.path if link else "", self._sink, self._clock, cancelled)
        finally:
            await clear(ground.groups, group_of(job.id))
            if network is not None and link is not None:
                await network.give_back(link.index)

    async def converse(self, job: JobSpec) -> Conversation:
        """Start a job whose input and output are ours."""
        return await open_conversation(self._ready(), job, self._network if job.box.network else None)
