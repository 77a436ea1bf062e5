"""The environment that every engine gives, so that an app behaves alike on each of them."""

from __future__ import annotations

import re
from pathlib import Path

from sitewright.domain.processes import Listen
from sitewright.engines.base import APP_DIRECTORY, DATA_DIRECTORY, SOCKET_PATH, InstanceSpec, Sandboxed

USER = "site"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
)
"""How the programs of a site and of a build are told of authorities that the operator has added to the machine."""
_NODE = "NODE_EXTRA_CA_CERTS"
_NODE_OPTIONS = ("NODE_OPTIONS", "--use-openssl-ca")
"""Node reads $NODE_EXTRA_CA_CERTS whole before it runs anything (60 ms for a machine's bundle), but $SSL_CERT_FILE at the first connection,
when it is told to ask OpenSSL."""
ADOPT_SCRIPT = "/etc/sitewright/listen.cjs"
_PLAIN_OPTIONS = re.compile(r"[\w=./:@,+-]+(?: [\w=./:@,+-]+)*")
PATH = f"{APP_DIRECTORY}/.venv/bin:{APP_DIRECTORY}/node_modules/.bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
TEMPORARY = "/tmp"  # noqa: S108 - a private one, inside


def has_extra_authorities(
    added: Path = Path("/usr/local/share/ca-certificates"),
    bundle: Path = Path(CA_BUNDLE),
) -> bool:
    """Whether the operator has added certificate authorities to this machine."""
    return any(added.glob("*.crt")) and bundle.exists()


def defaults(box: Sandboxed, *, extra_authorities: bool) -> tuple[tuple[str, str], ...]:
    """What *box* may override. The home folder is the one that outlives releases, where there is one."""
    home = DATA_DIRECTORY if any(mount.target == DATA_DIRECTORY for mount in box.mounts) else TEMPORARY
    names = (
        ("PATH", PATH),
        ("HOME", home),
        ("USER", USER),
        ("LOGNAME", USER),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", TEMPORARY),
        ("PYTHONUNBUFFERED", "1"),
    )
    if not extra_authorities:
        return names
    own_options = any(name == _NODE_OPTIONS[0] for name, _ in box.env)
    node = (_NODE, CA_BUNDLE) if own_options else _NODE_OPTIONS
    return (*names, *((name, CA_BUNDLE) for name in CA_VARIABLES if name != _NODE), node)


def of_instance(spec: InstanceSpec) -> tuple[tuple[str, str], ...]:
    """What the engine alone decides about an instance's environment."""
    own = [("PORT", str(spec.port)), ("SITEWRIGHT_INSTANCE", spec.id), ("SITEWRIGHT_PROCESS", spec.process)]
    if spec.listen in {Listen.SOCKET, Listen.FASTCGI}:
        own.append(("SOCKET", SOCKET_PATH))
    if any(mount.target == DATA_DIRECTORY for mount in spec.box.mounts):
        own.append(("SITEWRIGHT_DATA", DATA_DIRECTORY))
    return tuple(own)


def adopting(shown: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...] | None:
    """What makes Node take descriptor 3 for $PORT, given all that is *shown* to it. None where its own options are not plain words."""
    own = dict(shown).get("NODE_OPTIONS", "").strip()
    if own and not _PLAIN_OPTIONS.fullmatch(own):
        return None
    return ("NODE_OPTIONS", f"{own} --require={ADOPT_SCRIPT}".strip()), ("SITEWRIGHT_LISTEN", "3")
