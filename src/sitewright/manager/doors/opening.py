"""Who may open what, and what the node is asked for it. Synchronous, for it looks into the database."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.cache import cache

from sitewright.bus.messages import DoorOpen, DoorService, ExecOpen, GitOpen, GitService
from sitewright.domain.channel import PRODUCTION
from sitewright.domain.events import as_told
from sitewright.domain.states import Mode, Role
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import trail
from sitewright.manager.sites.access import channel_for
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_files

SHELL_ARGV = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
"""What somebody gets who wants no command in particular."""
_GIT = {DoorService.GIT_READ: GitService.UPLOAD_PACK, DoorService.GIT_WRITE: GitService.RECEIVE_PACK}
TOLD = {
    DoorService.GIT_READ: "git.read",
    DoorService.GIT_WRITE: "git.write",
    DoorService.SHELL: "exec.opened",
    DoorService.FILES: "files.opened",
    DoorService.PORT: "port.opened",
}
"""Actions in the audit trail."""
PORT_TOLD_SECONDS = 600
"""A browser opens dozens of connections: one entry a person and port for that long."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What to ask the channel's node: `git.open` or `exec.open`."""

    channel: Channel
    method: str
    question: GitOpen | ExecOpen

    @property
    def node(self) -> str:
        """Its name."""
        return self.channel.node


@dataclass(frozen=True, slots=True)
class GitAsked:
    """One connection of git's protocol; see ``GitOpen``."""

    service: GitService
    session: str
    protocol: str = ""
    stateless: bool = False
    advertise: bool = False


def person_of(user_id: str) -> User:
    """The person whom a door has let in. Raises NotFoundError when they are gone or locked out meanwhile."""
    user = User.objects.filter(id=int(user_id), is_active=True).first() if user_id.isdigit() else None
    if user is None:
        raise NotFoundError("This account does not exist any more, or is locked.")
    return user


def split(site: str) -> tuple[str, str]:
    """`NAME--CHANNEL` → name and channel. Site names hold no two hyphens in a row."""
    name, _, channel = site.partition("--")
    return name, channel or PRODUCTION


def prepare(asked: DoorOpen, session: str) -> Opening:
    """Whether they may, and what to ask. Raises NotFoundError, ForbiddenError, ConflictError, InvalidValueError in words for them."""
    user, (name, channel_name) = person_of(asked.user_id), split(asked.site)
    if asked.service in _GIT:
        if channel_name != PRODUCTION:
            raise InvalidValueError(
                "A repository belongs to the whole site.", resolution=f"Use the address of “{name}”; a branch leads to a channel."
            )
        opening = git_opening(user, name, GitAsked(_GIT[asked.service], session, asked.protocol))
        _trail(user, asked, opening.channel)
        return opening
    channel = channel_for(user, name, Role.DEVELOPER, channel_name)
    if asked.service is DoorService.FILES:
        _check_live(channel)
    if asked.service in {DoorService.FILES, DoorService.SHELL}:
        check_files(user, channel)
    opening = _exec(asked, session, user, channel)
    _trail(user, asked, channel)
    return opening


def _trail(user: User, asked: DoorOpen, channel: Channel) -> None:
    if asked.service is DoorService.PORT and not cache.add(f"door-port-{user.pk}-{channel.id}-{asked.port}", 1, PORT_TOLD_SECONDS):
        return
    detail = {"channel": channel.name, "address": asked.address}
    if asked.service is DoorService.SHELL:
        detail["program"] = _program(asked.argv)
    if asked.service is DoorService.PORT:
        detail["port"] = str(asked.port)
    trail(user, TOLD[asked.service], channel.site_id, channel.site.name, **detail)


def git_opening(user: User, site_name: str, asked: GitAsked) -> Opening:
    """Whether they may push to or read that site's repository, and what to ask. Raises NotFoundError, ForbiddenError."""
    role = Role.VIEWER if asked.service is GitService.UPLOAD_PACK else Role.DEVELOPER
    channel = channel_for(user, site_name, role)
    site = channel.site
    question = GitOpen(
        session=asked.session,
        site_id=site.id,
        site_name=site.name,
        number=site.number,
        service=asked.service,
        user_id=str(user.pk),
        who=user.email,
        protocol=asked.protocol,
        stateless=asked.stateless,
        advertise=asked.advertise,
    )
    return Opening(channel, "git.open", question)


def _check_live(channel: Channel) -> None:
    if channel.mode != Mode.LIVE.value:
        raise ConflictError(
            f"“{channel.name}” of “{channel.site.name}” runs releases; their files are not changed by hand.",
            resolution="Push with git or run `sitewright deploy`; or switch the channel to live mode on its page to edit files in place.",
        )


def _exec(asked: DoorOpen, session: str, user: User, channel: Channel) -> Opening:
    env = tuple((name, value) for name, value in (("TERM", asked.term if asked.terminal else ""), ("LANG", asked.language)) if value)
    port = asked.service is DoorService.PORT
    question = ExecOpen(
        session=session,
        channel_id=channel.id,
        process=asked.process or "web",
        argv=() if port else asked.argv or SHELL_ARGV,
        or_box=asked.service is DoorService.SHELL,
        files=asked.service is DoorService.FILES,
        port=asked.port if port else 0,
        env=env,
        metered=True,
        session_user=user.email,
        terminal=asked.terminal,
        rows=asked.rows,
        columns=asked.columns,
    )
    return Opening(channel, "exec.open", question)


def _program(argv: tuple[str, ...]) -> str:
    """The program's name only: arguments may hold secrets."""
    words = (argv[2] if argv[:2] == ("/bin/sh", "-c") and len(argv) > 2 else " ".join(argv)).split()
    return as_told(words[0]) if words else "a shell"
