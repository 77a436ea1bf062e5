"""From what the platform wants to run to the container that runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sitewright.commands.docker_config import Bind, Container
from sitewright.domain.processes import Listen
from sitewright.engines import environment
from sitewright.engines.base import DATA_DIRECTORY, SOCKET_PATH, InstanceSpec, JobSpec, Sandboxed
from sitewright.engines.docker.foreign import as_foreign, is_image, launcher_argv, mode_of, own_defaults
from sitewright.engines.docker.image import HOST_STACK, LAUNCHER, PYTHON
from sitewright.engines.docker.labels import instance_labels, job_labels
from sitewright.engines.images import ImageFacts
from sitewright.errors import EngineError

LAUNCHED = {Listen.FD: "fd", Listen.PORT: "port"}
"""Listen modes in which the launcher makes the socket, and what it calls them."""
SOCKET_FOLDER = str(Path(SOCKET_PATH).parent)
ONE_OUTPUT = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
"""Standard error goes where standard output goes: the daemon reads two pipes in no particular order."""


@dataclass(frozen=True, slots=True)
class Base:
    """What every container of this platform is built on. ``binds`` come first, ``accounts`` gives the folder of a tenant's /etc/passwd."""

    tag: str
    image: str
    binds: tuple[Bind, ...]
    accounts: Path
    extra_authorities: bool = False

    @property
    def launcher(self) -> Path:
        """Bound into images that are not ours."""
        return Path(__file__).with_name("launch.py")

    def image_for(self, stack: str) -> str:
        """The image of *stack*. Raises EngineError for one that this engine does not have."""
        if is_image(stack):
            return stack
        if stack != HOST_STACK:
            raise EngineError(f"The docker engine has no stack “{stack}”.", resolution=f"Use the stack “{HOST_STACK}”.")
        return self.image


def account_files(uid: int) -> dict[str, str]:
    """/etc/passwd and /etc/group inside: programs that ask who they are get an answer."""
    user = environment.USER
    accounts = ("root:x:0:0:root:/root:/usr/sbin/nologin", "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin")
    site = f"{user}:x:{uid}:{uid}:{user}:{DATA_DIRECTORY}:/bin/sh"
    return {"passwd": "\n".join((*accounts, site, "")), "group": f"root:x:0:\nnogroup:x:65534:\n{user}:x:{uid}:\n"}


def _environment(base: Base, box: Sandboxed, own: tuple[tuple[str, str], ...] = (), facts: ImageFacts | None = None) -> tuple[str, ...]:
    usual = environment.defaults(box, extra_authorities=base.extra_authorities)
    names = dict(usual if facts is None else own_defaults(usual, facts)) | dict(box.env) | dict(own)
    return tuple(f"{name}={value}" for name, value in names.items())


def _binds(base: Base, box: Sandboxed, *extra: Bind) -> tuple[Bind, ...]:
    accounts = tuple(Bind(str(base.accounts / f"{name}-{box.uid}"), f"/etc/{name}") for name in ("passwd", "group"))
    mounts = tuple(Bind(str(mount.source), mount.target, mount.writable) for mount in box.mounts)
    return (*base.binds, *accounts, *mounts, *extra)


def _shell(box: Sandboxed) -> tuple[str, ...]:
    return (*ONE_OUTPUT, "/bin/sh", "-c", box.command)


def instance_argv(spec: InstanceSpec) -> tuple[str, ...]:
    """What runs first inside: the launcher where it makes the socket, else the app itself."""
    app = _shell(spec.box)
    if spec.listen not in LAUNCHED:
        return app
    return (PYTHON, "-I", "-S", LAUNCHER, LAUNCHED[spec.listen], str(spec.port), "--", *app)


def instance_container(base: Base, spec: InstanceSpec, network: str, facts: ImageFacts | None = None) -> Container:
    """The container of an instance; *facts* of its image when that is not ours. Raises EngineError for an unknown stack."""
    sockets = () if spec.listen is Listen.NONE else (Bind(str(spec.socket.parent / "g" / "in"), SOCKET_FOLDER, writable=True),)
    container = Container(
        image=base.image_for(spec.box.stack),
        argv=instance_argv(spec),
        uid=spec.box.uid,
        env=_environment(base, spec.box, environment.of_instance(spec), facts),
        binds=_binds(base, spec.box, *sockets),
        limits=spec.box.limits,
        network=network,
        workdir=spec.box.workdir,
        labels=instance_labels(base.tag, spec),
    )
    if facts is None:
        return container
    argv = launcher_argv(mode_of(spec.listen), spec.port, spec.box.command)
    return as_foreign(container, facts, base.launcher, argv, base.binds)


def job_container(base: Base, job: JobSpec, network: str, facts: ImageFacts | None = None) -> Container:
    """The container of a job; *facts* of its image when that is not ours. Raises EngineError for an unknown stack."""
    container = Container(
        image=base.image_for(job.box.stack),
        argv=_shell(job.box),
        uid=job.box.uid,
        env=_environment(base, job.box, (), facts),
        binds=_binds(base, job.box),
        limits=job.box.limits,
        network=network,
        workdir=job.box.workdir,
        labels=job_labels(base.tag, job),
    )
    if facts is None:
        return container
    return as_foreign(container, facts, base.launcher, launcher_argv("image-none", 0, job.box.command), base.binds)


def conversation_container(base: Base, job: JobSpec, network: str, facts: ImageFacts | None = None) -> Container:
    """The container of a job that takes input; its standard error is a stream of its own."""
    argv = ("/bin/sh", "-c", job.box.command) if facts is None else launcher_argv("image-talk", 0, job.box.command)
    return replace(job_container(base, job, network, facts), argv=argv, takes_input=True)
