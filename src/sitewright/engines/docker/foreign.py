"""Containers of images that are not ours: confined like every other site, and nothing of what the image asks for is followed blindly.

What runs first inside is the launcher, as with our own image; but there may be no Python, no shell, not even a C library that fits. So the
machine's /usr is bound in at a place of its own, read-only, and the launcher is begun by the machine's own loader with the machine's own
libraries. The app then finds only what its image has.
"""

from __future__ import annotations

import sysconfig
from dataclasses import replace
from pathlib import Path

from sitewright.commands.docker_config import Bind, Container
from sitewright.domain.processes import Listen
from sitewright.engines.docker.image import LAUNCHER, PYTHON
from sitewright.engines.environment import CA_BUNDLE, CA_VARIABLES
from sitewright.engines.images import ImageFacts

HOST = "/sitewright/host"
"""Where the machine's /usr is inside."""
HOST_BUNDLE = "/sitewright/ca-certificates.crt"
RELAY = "/usr/lib/systemd/systemd-socket-proxyd"
LOADER_VARIABLES = "SITEWRIGHT_LD"
MOST_VOLUMES = 16
_OURS = ("/sitewright", "/run/sitewright", "/data", "/tmp", "/etc", "/proc", "/sys", "/dev")  # noqa: S108 - inside
_KEPT_DEFAULTS = frozenset({"HOME", "USER", "LOGNAME", "TMPDIR"})


def is_image(stack: str) -> bool:
    """Whether a stack is an image by its id."""
    return stack.startswith("sha256:")


def _loaded(program: str) -> tuple[str, ...]:
    """Argv that runs a program of the machine whatever the image is."""
    machine = str(sysconfig.get_config_var("MULTIARCH"))
    folder = f"{HOST}/lib/{machine}"
    loader = next(iter(sorted(Path(f"/usr/lib/{machine}").glob("ld-linux-*.so.*"))), Path("ld-linux.so"))
    inside = f"{HOST}{program.removeprefix('/usr')}"
    return (f"{folder}/{loader.name}", "--argv0", inside, "--library-path", f"{folder}:{folder}/systemd", inside)


def launcher_argv(mode: str, port: int, command: str) -> tuple[str, ...]:
    """What runs first inside: *mode* is image-port, image-none, or image-talk (standard error stays apart)."""
    relay = _loaded(RELAY) if mode == "image-port" else ()
    return (*_loaded(PYTHON), "-I", "-S", LAUNCHER, mode, str(port), *relay, "--", command)


def mode_of(listen: Listen) -> str:
    """How an instance is launched: whatever listens, listens on a port."""
    return "image-none" if listen is Listen.NONE else "image-port"


def own_defaults(usual: tuple[tuple[str, str], ...], facts: ImageFacts) -> tuple[tuple[str, str], ...]:
    """Of the environment that every site gets what an image does not know better; authorities are where they are bound in."""
    image = {line.partition("=")[0] for line in facts.env}
    kept = [(name, value) for name, value in usual if name in _KEPT_DEFAULTS]
    if any(value == CA_BUNDLE for _, value in usual):
        kept += [(name, HOST_BUNDLE) for name in CA_VARIABLES if name not in image]
    return tuple(kept)


def volatile(volumes: tuple[str, ...], binds: tuple[Bind, ...]) -> tuple[str, ...]:
    """The image's volumes that get a small private place in memory, so that none is made on the daemon's disk."""
    taken = (*_OURS, *(bind.target for bind in binds))
    return tuple(
        path
        for path in sorted({volume.rstrip("/") for volume in volumes})
        if path.startswith("/") and ".." not in path.split("/") and not any(path == own or path.startswith(f"{own}/") for own in taken)
    )[:MOST_VOLUMES]


def as_foreign(container: Container, facts: ImageFacts, launcher: Path, argv: tuple[str, ...], host_binds: tuple[Bind, ...]) -> Container:
    """The same container on a foreign image: its own PATH and working directory, none of the machine's folders but at one place."""
    machines = {bind.target for bind in host_binds}
    own = tuple(bind for bind in container.binds if bind.target not in machines)
    binds = (Bind("/usr", HOST), Bind(str(launcher), LAUNCHER), *own)
    env = list(container.env)
    if any(line.partition("=")[2] == HOST_BUNDLE for line in env):
        binds = (*binds, Bind(CA_BUNDLE, HOST_BUNDLE))
    loader = [line for line in facts.env if line.startswith("LD_")]
    if loader:
        # They are meant for the image's programs; the machine's loader must not follow them.
        env += [f"{line.partition('=')[0]}=" for line in loader]
        env.append(f"{LOADER_VARIABLES}=" + "\n".join(loader))
    return replace(
        container,
        argv=argv,
        env=tuple(env),
        binds=binds,
        foreign=True,
        volatile=volatile(facts.volumes, binds),
    )
