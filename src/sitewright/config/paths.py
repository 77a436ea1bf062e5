"""Where everything of one platform is on disk. The one place that knows; nobody joins paths by hand elsewhere."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


def platform_tag(home: Path) -> str:
    """8 hex characters that tell this platform from another one on the same machine (names of run folder, interfaces, control groups)."""
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:8]


def default_home() -> Path:
    """/var/lib/sitewright as root, else ~/.local/share/sitewright."""
    if os.geteuid() == 0:
        return Path("/var/lib/sitewright")
    return Path.home() / ".local/share/sitewright"


def default_run(home: Path) -> Path:
    """A short folder for sockets and routes (unix paths end at 107 bytes): /run/sw-<tag> as root, else under $XDG_RUNTIME_DIR or the
    temporary folder."""
    name = f"sw-{platform_tag(home)}"
    if os.geteuid() == 0:
        return Path("/run") / name
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / name if base else Path(tempfile.gettempdir()) / f"{name}-{os.geteuid()}"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one platform. Properties name what they hold; modes and owners are set by whoever makes them (see
    docs/reference/disk.md)."""

    home: Path
    run: Path

    @property
    def tag(self) -> str:
        """See ``platform_tag``."""
        return platform_tag(self.home)

    # --- the home folder: lasts ---
    @property
    def secrets(self) -> Path:
        """0700: made at install; keys, bus credentials, the local token."""
        return self.home / "secrets"

    @property
    def local_token(self) -> Path:
        """0600: the API token of the user who ran `up`."""
        return self.home / "token"

    @property
    def address_file(self) -> Path:
        """The manager's address, written by `up` for the CLI on this machine."""
        return self.home / "address"

    @property
    def database(self) -> Path:
        """SQLite, when no DATABASE_URL is given."""
        return self.home / "manager" / "sitewright.db"

    @property
    def logs(self) -> Path:
        """The platform's own logs, one file a process."""
        return self.home / "logs"

    @property
    def uploads(self) -> Path:
        """Sources that the manager received and the builder takes: <sha256>."""
        return self.home / "uploads"

    @property
    def droplets(self) -> Path:
        """Built trees by content: <sha256>."""
        return self.home / "droplets"

    @property
    def node(self) -> Path:
        """What this node must remember."""
        return self.home / "node"

    @property
    def desired(self) -> Path:
        """What this node was told, one checked file a channel."""
        return self.node / "desired"

    @property
    def remembered(self) -> Path:
        """What the orchestrator itself must remember over a restart, one checked file a channel."""
        return self.node / "remembered"

    @property
    def events(self) -> Path:
        """Events that the manager has not yet acknowledged, one a line."""
        return self.node / "events.jsonl"

    @property
    def builds(self) -> Path:
        """One folder a build: request, log, result, working tree."""
        return self.home / "builds"

    @property
    def caches(self) -> Path:
        """Build caches, one folder a site."""
        return self.home / "caches"

    @property
    def tools(self) -> Path:
        """What builds use from the platform itself (uv, small scripts), where every tenant's sandbox can read it."""
        return self.home / "tools"

    @property
    def repository_tools(self) -> Path:
        """What git is served with: configuration, hooks and scripts, where every site's box can read them."""
        return self.home / "git"

    @property
    def repository_notes(self) -> Path:
        """A file a site whose repository was written to and not yet tidied."""
        return self.node / "repositories"

    @property
    def sites(self) -> Path:
        """One folder a site."""
        return self.home / "sites"

    def site(self, site_id: str) -> Path:
        """One site's folder: repo.git and channels."""
        return self.sites / site_id

    def repository(self, site_id: str) -> Path:
        """The site's bare git repository; its own user's, made when something is first put into it."""
        return self.site(site_id) / "repo.git"

    def channel(self, site_id: str, channel: str) -> Path:
        """One channel's folder: folder, data, releases, logs."""
        return self.site(site_id) / "channels" / channel

    def live_folder(self, site_id: str, channel: str) -> Path:
        """What runs in live mode."""
        return self.channel(site_id, channel) / "folder"

    def data(self, site_id: str, channel: str) -> Path:
        """The channel's own files, kept over releases."""
        return self.channel(site_id, channel) / "data"

    def release(self, site_id: str, channel: str, number: int) -> Path:
        """One extracted release."""
        return self.channel(site_id, channel) / "releases" / str(number)

    def channel_logs(self, site_id: str, channel: str) -> Path:
        """Rotated output of the channel's processes."""
        return self.channel(site_id, channel) / "logs"

    # --- the run folder: rebuilt at start ---
    @property
    def routes(self) -> Path:
        """The routing table: one symlink a host name."""
        return self.run / "r"

    @property
    def route_targets(self) -> Path:
        """What the symlinks in ``routes`` point to: one folder a channel."""
        return self.run / "c"

    @property
    def routes_complete(self) -> Path:
        """There once the routing table holds everything; before that, a host without a route may have one soon."""
        return self.run / "routed"

    @property
    def instances(self) -> Path:
        """One folder an instance: its socket and what the engine notes."""
        return self.run / "i"

    @property
    def engine(self) -> Path:
        """What the engine shares between instances: the made-up /etc, the system call filter."""
        return self.run / "e"

    def instance_socket(self, instance_id: str) -> Path:
        """The unix socket that the router connects to."""
        return self.instances / instance_id / "s"

    @property
    def manager_socket(self) -> Path:
        """Where the manager answers HTTP to the router."""
        return self.run / "manager.sock"

    @property
    def wake_socket(self) -> Path:
        """Where the orchestrator answers for whoever is not at home."""
        return self.run / "wake.sock"

    @property
    def hooks(self) -> Path:
        """One socket a push under way, through which git's hook inside the sandbox asks the node what becomes of it."""
        return self.run / "h"

    @property
    def bus_port_file(self) -> Path:
        """host:port that the bus listens on."""
        return self.run / "bus.address"
