"""From what is wanted to what an engine runs: folders, environment and limits of one instance or release command."""

from __future__ import annotations

import shlex
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.domain.release import Release
from sitewright.domain.states import Mode
from sitewright.engines.base import APP_DIRECTORY, DATA_DIRECTORY, SOCKET_PATH, InstanceSpec, JobSpec, Mount, Sandboxed
from sitewright.orchestrator.model import Serving, Wanted, environment
from sitewright.orchestrator.observe import INDEX_VARIABLE
from sitewright.system.accounts import tenant_uid

PORT = 8000
RELEASE_COMMAND_SECONDS = 600.0
FILES_SECONDS = 24 * 3600.0
FILES_LIMITS = Limits(memory_bytes=256 * MIB, pids=16, open_files=1024)


def tree_of(paths: Paths, desired: DesiredChannel, serving: Serving) -> Path:
    """The folder on the host that a release runs from."""
    if serving.mode is Mode.LIVE:
        return paths.live_folder(desired.site_id, desired.channel)
    return paths.release(desired.site_id, desired.channel, serving.release.number)


def data_of(paths: Paths, desired: DesiredChannel) -> Path:
    """The folder on the host that it keeps its data in: its own, or that of the channel whose data it shares."""
    return paths.data(desired.site_id, desired.data_channel or desired.channel)


def wanted_trees(desired: DesiredChannel) -> tuple[Serving, ...]:
    """What is to run from the channel's folders: its release, and one on trial."""
    tried = desired.canary.release if desired.canary is not None else None
    return tuple(Serving(release, desired.mode) for release in (desired.release, tried) if release is not None)


def _box(settings: Settings, desired: DesiredChannel, release: Release, wanted: Wanted, extra: dict[str, str]) -> Sandboxed:
    paths = settings.paths
    url = settings.url(desired.hosts[0]) if desired.hosts else ""
    live, image = desired.mode is Mode.LIVE, release.blueprint.image
    # An image brings its own files, and says itself where it works.
    tree = () if image else (Mount(tree_of(paths, desired, Serving(release, desired.mode)), APP_DIRECTORY, writable=live),)
    return Sandboxed(
        uid=tenant_uid(settings.uid_base, desired.number),
        command=wanted.spec.command,
        env=tuple(sorted({**environment(desired, release, url), **extra}.items())),
        mounts=(*tree, Mount(data_of(paths, desired), DATA_DIRECTORY, writable=True)),
        limits=wanted.scale.limits,
        stack=image or release.blueprint.stack or "host",
        workdir="" if image else APP_DIRECTORY,
    )


def instance_spec(settings: Settings, desired: DesiredChannel, wanted: Wanted, instance_id: str, index: int) -> InstanceSpec:
    """One copy of one process type of a release of the channel."""
    release = wanted.release or desired.release
    assert release is not None, "only a channel with a release starts instances"
    extra, port = {INDEX_VARIABLE: str(index)}, release.blueprint.port or PORT
    if wanted.spec.listen is not Listen.NONE:
        extra |= {"PORT": str(port), "SOCKET": SOCKET_PATH}
    return InstanceSpec(
        id=instance_id,
        channel_id=desired.channel_id,
        site_id=desired.site_id,
        process=wanted.spec.type,
        digest=wanted.digest,
        release_id=release.id,
        box=_box(settings, desired, release, wanted, extra),
        listen=wanted.spec.listen,
        socket=settings.paths.instance_socket(instance_id),
        port=port,
        stop_grace_seconds=wanted.scale.stop_grace_seconds,
        warm=wanted.spec.warm,
        adopts=wanted.spec.adopts,
    )


def hook_spec(settings: Settings, desired: DesiredChannel, wanted: Wanted, job_id: str) -> JobSpec:
    """The release command of a release of the channel."""
    release = wanted.release or desired.release
    assert release is not None, "only a channel with a release has a release command"
    return JobSpec(job_id, _box(settings, desired, release, wanted, {}), RELEASE_COMMAND_SECONDS)


def files_spec(settings: Settings, desired: DesiredChannel, argv: tuple[str, ...], job_id: str) -> JobSpec:
    """A program that copies files from or to a live channel's folder. It sees neither variables nor the network."""
    paths = settings.paths
    box = Sandboxed(
        uid=tenant_uid(settings.uid_base, desired.number),
        command=f"exec {shlex.join(argv)}",
        env=(),
        mounts=(
            Mount(paths.live_folder(desired.site_id, desired.channel), APP_DIRECTORY, writable=True),
            Mount(data_of(paths, desired), DATA_DIRECTORY, writable=True),
        ),
        limits=FILES_LIMITS,
        network=False,
    )
    return JobSpec(job_id, box, FILES_SECONDS)
