"""The platform's settings. Each field's description is its documentation; docs/reference/settings.md is generated from here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sitewright.config.paths import Paths, default_home, default_run
from sitewright.domain.names import HostName
from sitewright.errors import InvalidValueError


class Settings(BaseSettings):
    """What every process of one platform on one machine agrees on. Set by SITEWRIGHT_… in the environment."""

    model_config = SettingsConfigDict(env_prefix="SITEWRIGHT_", extra="ignore", frozen=True, validate_default=True)

    home: Path = Field(default_factory=default_home, description="The data folder: everything that lasts is below it.")
    run: Path | None = Field(
        default=None, description="A short folder for sockets and routes, rebuilt at start. Default: made from the data folder's name."
    )
    http_port: int = Field(default=8000, ge=1, le=65535, description="The port that visitors and the manager's pages are served on.")
    http_address: str = Field(default="127.0.0.1", description="The address the router listens on; 0.0.0.0 for every interface.")
    ssh_port: int = Field(default=2222, ge=0, le=65535, description="The port of the SSH door: git, shells and files of sites; 0 for none.")
    ssh_address: str = Field(default="127.0.0.1", description="The address that the SSH door listens on; 0.0.0.0 for every interface.")
    behind_tls: bool = Field(
        default=False,
        description="A proxy on this machine speaks TLS for the platform: addresses begin with https:// and need no port, cookies travel "
        "encrypted only, and the proxy's X-Forwarded-For is believed.",
    )
    domain: str = Field(default="localhost", description="Sites are NAME.<domain>, the manager is sitewright.<domain>.")
    engine: Literal["sandbox", "docker"] = Field(default="sandbox", description="What runs instances.")
    docker_host: str = Field(default="unix:///var/run/docker.sock", description="Address of the Docker Engine, with engine=docker.")
    database_url: str = Field(
        default="", description="postgresql://… for PostgreSQL; empty for SQLite in the data folder. DATABASE_URL does the same."
    )
    node: str = Field(default="node1", pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="This machine's name on the bus.")
    sign_up: Literal["closed", "open"] = Field(default="closed", description="Whether strangers may make an account themselves.")
    workers: int = Field(
        default=2,
        ge=0,
        le=32,
        description="Threads of the manager that work on operations; 0 leaves that to `python -m sitewright.manager.worker`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much the platform's own logs say.")
    build_slots: int = Field(default=0, ge=0, le=32, description="Builds at a time on this node; 0 is half its processors, at least one.")
    build_memory_mb: int = Field(
        default=0, ge=0, description="Megabytes of memory that one build may take; 0 is a quarter of the machine's, between 512 and 4096."
    )
    build_cache_mb: int = Field(default=2048, ge=0, description="Megabytes of build caches kept for one site; the oldest goes first.")
    repository_mb: int = Field(default=2048, ge=16, description="Megabytes that one site's repository may take.")
    package_index: str = Field(
        default="", description="A Python package index for builds; empty for the public one or what this machine's pip.conf says."
    )
    npm_registry: str = Field(
        default="", description="An npm registry for builds; empty for the public one or what this machine's npmrc says."
    )
    poll_seconds: int = Field(
        default=300, ge=10, description="Seconds between two looks at a connected repository that sends no web hooks."
    )
    git_file_urls: bool = Field(default=False, description="For tests only: let sites come from git addresses that begin with file://.")
    image_registries: str = Field(
        default="docker.io,ghcr.io,quay.io,registry.gitlab.com",
        description="Registries (comma-separated) that container images may come from, with engine=docker.",
    )
    extra_egress: str = Field(
        default="",
        description="Private addresses (CIDR, comma-separated) that sites and builds may reach all the same, such as a package mirror.",
    )
    site_disk_mb: int = Field(
        default=10_240,
        ge=16,
        description="Megabytes that a site's data and live folder may take together; a running site that has more is stopped.",
    )
    warm_start: bool = Field(
        default=True,
        description="Keep Python processes with well-known servers and frameworks imported, and begin sites that use them as their copies. "
        "docs/explanation/isolation.md says what such sites share.",
    )
    prepared_sites: int = Field(
        default=16,
        ge=0,
        le=1000,
        description="How many of the sites that were stopped last have their sandbox made ahead, so that a visitor wakes them sooner; "
        "about 7 MB each for Python, half of one for others. 0 is none.",
    )
    install_packages: bool = Field(
        default=True, description="As root: install missing Debian packages by oneself. False: only name the command."
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("domain")
    @classmethod
    def _host(cls, value: str) -> str:
        return str(HostName(value.lower()))

    @property
    def paths(self) -> Paths:
        """Where everything is."""
        return Paths(home=self.home, run=self.run or default_run(self.home))

    @property
    def builds_at_once(self) -> int:
        """``build_slots``, or half the processors that this process may use, at least one."""
        return self.build_slots or max(len(os.sched_getaffinity(0)) // 2, 1)

    @property
    def manager_host(self) -> str:
        """The manager's host name."""
        return f"sitewright.{self.domain}"

    @property
    def ssh_host(self) -> str:
        """How git and ssh call this machine. NAME.localhost is a name for browsers; a resolver may not know it."""
        return "localhost" if self.domain == "localhost" else self.manager_host

    def ssh_url(self, site: str) -> str:
        """Where git pushes a site's code over SSH; "" where there is no such door."""
        if not self.ssh_port:
            return ""
        return f"ssh://git@{self.ssh_host}{'' if self.ssh_port == 22 else f':{self.ssh_port}'}/{site}"

    def git_url(self, site: str) -> str:
        """The same over HTTPS."""
        return f"{self.url(self.manager_host)}/{site}.git"

    def url(self, host: str) -> str:
        """The address that a browser uses for *host*."""
        if self.behind_tls:
            return f"https://{host}"
        return f"http://{host}" if self.http_port == 80 else f"http://{host}:{self.http_port}"

    @property
    def uid_base(self) -> int:
        """First of the 100,000 uids of this platform's sites: site n runs as uid_base + n. Derived from the data folder, so two
        platforms do not meet."""
        return 1_000_000 + int(self.paths.tag, 16) % 20_000 * 100_000


def load_settings() -> Settings:
    """The settings from the environment. Raises InvalidValueError that says variable, value and rule in a sentence."""
    try:
        # DATABASE_URL is what everybody calls it; the platform's own name wins.
        general = os.environ.get("DATABASE_URL", "")
        return Settings(database_url=general) if general and "SITEWRIGHT_DATABASE_URL" not in os.environ else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Value error, ").rstrip(".")
        name = "SITEWRIGHT_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InvalidValueError(
            f"The setting {name} is wrong: {rule}.", resolution=f"Correct {name} in the environment and start again."
        ) from error
