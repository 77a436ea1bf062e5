"""Making containers: the way from a spec to something that runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sitewright.commands.docker_config import Container, container_body, container_name
from sitewright.engines.base import InstanceSpec, JobSpec, Sandboxed
from sitewright.engines.docker import sockets
from sitewright.engines.docker.boxes import LAUNCHED, Base, account_files, conversation_container, instance_container, job_container
from sitewright.engines.docker.daemon import Daemon, DaemonError
from sitewright.engines.docker.foreign import is_image
from sitewright.engines.docker.images import facts_from
from sitewright.engines.docker.networks import NO_NETWORK, Networks
from sitewright.engines.images import ImageFacts
from sitewright.engines.mounts import check_mounts
from sitewright.errors import EngineError
from sitewright.system.files import write_atomic

SOCKET_SECONDS = 20.0
SOCKET_POLL_SECONDS = 0.01
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Starter:
    """Makes containers on one daemon."""

    daemon: Daemon
    networks: Networks
    base: Base

    async def start(self, spec: InstanceSpec) -> None:
        """Make and start an instance's container. Raises EngineError, and then nothing of it is left."""
        check_mounts(spec.box)
        facts = await self._foreign(spec.box)
        sockets.prepare(spec)
        made = ""
        try:
            self._write_accounts(spec.box.uid)
            async with self._network(spec.box.uid, wanted=spec.box.network) as network:
                made = await self._create(spec.id, instance_container(self.base, spec, network, facts))
                await self.daemon.ask("POST", f"containers/{made}/start")
            if spec.listen in LAUNCHED:
                await self._wait_for_socket(spec, made)
        except BaseException:
            await asyncio.shield(self._discard(spec, made))
            raise

    async def make_job(self, job: JobSpec) -> str:
        """Make a job's container, not yet started; its id. Raises EngineError."""
        check_mounts(job.box)
        self._write_accounts(job.box.uid)
        async with self._network(job.box.uid, wanted=job.box.network) as network:
            return await self._create(job.id, job_container(self.base, job, network, await self._foreign(job.box)))

    async def make_conversation(self, job: JobSpec) -> str:
        """Make the container of a job that takes input, not yet started; its id. Raises EngineError."""
        check_mounts(job.box)
        self._write_accounts(job.box.uid)
        async with self._network(job.box.uid, wanted=job.box.network) as network:
            return await self._create(job.id, conversation_container(self.base, job, network, await self._foreign(job.box)))

    async def _foreign(self, box: Sandboxed) -> ImageFacts | None:
        """Of an image that is not ours; None for our own. Raises EngineError when it is not here."""
        if not is_image(box.stack):
            return None
        seen = await self.daemon.find(f"images/{box.stack}/json")
        if seen is None:
            raise EngineError("The image that this release runs from is not on this machine any more.", resolution="Deploy it again.")
        return facts_from(seen)

    async def _wait_for_socket(self, spec: InstanceSpec, container: str) -> None:
        """Until the launcher's socket is linked, or the container has ended without one: then the exit tells why."""
        ended = asyncio.ensure_future(self.daemon.ask("POST", f"containers/{container}/wait", timeout=None))
        try:
            async with asyncio.timeout(SOCKET_SECONDS):
                while not sockets.publish(spec) and not ended.done():
                    await asyncio.wait({ended}, timeout=SOCKET_POLL_SECONDS)
        except TimeoutError:
            log.warning("docker_no_socket", extra={"instance": spec.id})
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _create(self, identity: str, container: Container) -> str:
        params = {"name": container_name(self.base.tag, identity)}
        return str((await self.daemon.ask("POST", "containers/create", params=params, body=container_body(container)))["Id"])

    @contextlib.asynccontextmanager
    async def _network(self, uid: int, *, wanted: bool) -> AsyncIterator[str]:
        if not wanted:
            yield NO_NETWORK
            return
        async with self.networks.of(uid) as name:
            yield name

    async def _discard(self, spec: InstanceSpec, container: str) -> None:
        if container:
            with contextlib.suppress(DaemonError):
                await self.daemon.ask_leniently("DELETE", f"containers/{container}", params={"force": "1", "v": "1"})
        sockets.clear(spec.socket)

    def _write_accounts(self, uid: int) -> None:
        for name, text in account_files(uid).items():
            path = self.base.accounts / f"{name}-{uid}"
            if not path.exists():
                write_atomic(path, text.encode(), durable=False)
