"""nginx's configuration as text. Pure: values in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sitewright.domain.route import SLOTS
from sitewright.router.lanes import SITE_CONNECTIONS, kept_lanes, plain_lanes
from sitewright.router.pages import PAGES, fill
from sitewright.router.policy import zone_lines

WAKES_PER_SECOND = 200
"""How often the orchestrator is asked for one host name in the long run; SITE_CONNECTIONS may come at once."""
WAKE_TRIES = 4

_TYPES = {
    "text/html": "html htm shtml",
    "text/css": "css",
    "text/javascript": "js mjs cjs",
    "text/plain": "txt text log conf ini",
    "text/markdown": "md markdown",
    "text/csv": "csv",
    "text/xml": "xml",
    "text/vtt": "vtt",
    "text/calendar": "ics",
    "application/json": "json map geojson ipynb",
    "application/ld+json": "jsonld",
    "application/manifest+json": "webmanifest",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/wasm": "wasm",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/x-7z-compressed": "7z",
    "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "image/svg+xml": "svg svgz",
    "image/png": "png",
    "image/jpeg": "jpg jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "model/gltf-binary": "glb",
    "model/gltf+json": "gltf",
}
"""Media types by file name (IANA media types registry)."""

SLOT_COOKIE = {False: "sw_slot", True: "__Host-sw_slot"}
"""By whether visitors come by TLS: only then there are names that no neighbour can set (RFC 6265bis, 4.1.3.2)."""

_HIDDEN = r"/\.(?!well-known(?:/|$))|\.(?:php[0-9]?|phtml|phar|phps)(?:/|$)"
"""Never served as files: hidden ones, and sources of PHP."""

_CAREFULLY = "disable_symlinks if_not_owner from=%s/r/$host;"
"""Wherever a tenant's file may be opened: a symlink is followed only to what belongs to the symlink's owner. The table's own link to the
folder belongs to the site too (sitewright.router.table), so a site that puts a link in the folder's place leads nowhere but to itself."""
_WITHOUT_SYMLINKS = "disable_symlinks on from=$document_root;"
"""No symlink at all: cheaper, for the first look, which a careful one follows. Only for folders that no site can replace."""
_FILE_ANSWERS = ("charset utf-8;", "add_header Cache-Control no-cache;")
_RULED_ANSWERS = ("charset utf-8;", "add_header Cache-Control $file_life;")
"""Where a page rule may have said how long a file may be kept."""

_STRIPPED = (
    "Forwarded",
    "Proxy",
    "Remote-User",
    "X-Accel-Mapping",
    "X-Forwarded-Email",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-User",
    "X-Original-URL",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-Sendfile-Type",
    "X-Sitewright-Host",
    "X-Sitewright-Patience",
)
"""Request headers that frameworks believe because only a proxy should send them; a visitor's are not passed on."""

_FASTCGI = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx",
    "SERVER_PROTOCOL": "$server_protocol",
    "SERVER_NAME": "$host",
    "SERVER_PORT": "%{http_port}",
    "REQUEST_METHOD": "$request_method",
    "REQUEST_SCHEME": "$http_x_forwarded_proto",
    "REQUEST_URI": "$request_uri",
    "QUERY_STRING": "$query_string",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "DOCUMENT_ROOT": "$docroot",
    "DOCUMENT_URI": "$fastcgi_script_name",
    "SCRIPT_NAME": "$fastcgi_script_name",
    "SCRIPT_FILENAME": "$docroot$fastcgi_script_name",
    "PATH_INFO": "$script_path",
    "REMOTE_ADDR": "$remote_addr",
    "REDIRECT_STATUS": "200",
}
"""CGI/1.1 (RFC 3875); REDIRECT_STATUS is what php-fpm asks for. Request headers follow as HTTP_…, already cleaned by the public server."""


BELIEVED_PROXY = """    # The proxy in front, on this machine: it says who the visitor is.
    set_real_ip_from 127.0.0.1;
    set_real_ip_from ::1;
    real_ip_header X-Forwarded-For;
"""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """What the configuration depends on. ``user`` is the workers' account, "" to stay who started nginx; ``domain`` is the platform's."""

    run: Path
    home: Path
    address: str
    port: int
    domain: str
    manager_host: str
    manager_files: Path
    """The folder that holds the manager's `static` folder."""
    user: str = ""
    behind_tls: bool = False
    """A proxy on this machine speaks TLS; it says who the visitor is."""
    workers: int = 2
    open_files: int = 16384
    connections: int = 8192

    @property
    def folder(self) -> Path:
        """Configuration, pages, pid file and php.sock."""
        return self.run / "nginx"

    @property
    def temporary(self) -> Path:
        """Bodies on their way, on disk: the run folder is often memory."""
        return self.home / "router"


def render_config(config: RouterConfig) -> str:
    """The whole configuration file. The same for any number of sites."""
    listen = f"[{config.address}]:{config.port}" if ":" in config.address else f"{config.address}:{config.port}"
    values = {
        "folder": str(config.folder),
        "pages": str(config.folder / "pages"),
        "routes": str(config.run / "r"),
        "php_socket": str(config.folder / "php.sock"),
        "manager_socket": str(config.run / "manager.sock"),
        "manager_files": str(config.manager_files),
        "logs": str(config.home / "logs"),
        "temporary": str(config.temporary),
        "user": f"user {config.user};" if config.user else "",
        "workers": str(config.workers),
        "open_files": str(config.open_files),
        "connections": str(config.connections),
        "site_connections": str(SITE_CONNECTIONS),
        "listen": listen,
        "scheme": "https" if config.behind_tls else "$scheme",
        "believed_proxy": BELIEVED_PROXY if config.behind_tls else "",
        "http_port": str(config.port),
        "hidden": _HIDDEN,
        "manager_host": config.manager_host,
        "parent_domains": "|".join(re.escape(name) for name in parent_domains(config.domain)),
        "types": _lines(8, (f"{media} {endings};" for media, endings in _TYPES.items())),
        "slots": _lines(8, _slot_lines()),
        "slot_cookie": SLOT_COOKIE[config.behind_tls],
        "secure": "; Secure" if config.behind_tls else "",
        "zones": _lines(4, zone_lines()),
        "wakes_per_second": str(WAKES_PER_SECOND),
        "wake_servers": _lines(8, [f"server unix:{config.run}/wake.sock max_fails=0;"] * WAKE_TRIES),
        "stripped_headers": _lines(4, (f'proxy_set_header {name} "";' for name in _STRIPPED)),
    }
    values["fastcgi_params"] = fill(_lines(8, (f'fastcgi_param {name} "{value}";' for name, value in _FASTCGI.items())), values)
    values["state_errors"] = _errors({581: "starting", 582: "stopped", 583: "crashed", 585: "unknown", 588: "$waiting"})
    values["app_errors"] = _errors({504: "slow", 413: "large", 529: "busy"})
    for name, folder in (("tenant", "shown"), ("mixed", "files")):
        values[f"{name}_root"] = _lines(12, (f"root {config.run}/r/$host/{folder};", _CAREFULLY % config.run))
        values[f"{name}_files"] = values[f"{name}_root"] + "\n" + _lines(12, _FILE_ANSWERS)
    held = (f"root {config.run}/r/$host/held;", _CAREFULLY % config.run, *_RULED_ANSWERS, "js_header_filter pages.headers;")
    values["ruled_files"] = _lines(12, held)
    bare = (f"root {config.run}/r/$host/held;", _WITHOUT_SYMLINKS, *_RULED_ANSWERS)
    values["ruled_plain_files"] = _lines(12, (*bare, "if ($rule_headers) { js_header_filter pages.headers; }"))
    values["ruled_headers"] = _lines(12, ("if ($rule_headers) { js_header_filter pages.headers; }",))
    values["tenant_ruled_files"] = values["tenant_root"] + "\n" + _lines(12, _RULED_ANSWERS)
    values["plain_files"] = _lines(12, (f"root {config.run}/r/$host/public;", _WITHOUT_SYMLINKS, *_FILE_ANSWERS))
    values["ruled"] = fill(_template("ruled.conf.tmpl"), values).rstrip("\n")
    changed = fill(_template("changed.conf.tmpl"), values).rstrip("\n")
    not_whole = _lines(12, ("error_page 586 = @unrouted;", f"if (!-f {config.run}/routed) {{ return 586; }}"))
    for name, meanwhile, unrouted in (("absent_locations", "", ""), ("app_absent_locations", changed, not_whole)):
        values[name] = fill(_template("absent.conf.tmpl"), {**values, "changed_meanwhile": meanwhile, "not_whole": unrouted})
    values["unrouted"] = fill(_template("unrouted.conf.tmpl"), values).rstrip("\n")
    values["gate"] = fill(_template("gate.conf.tmpl"), values).rstrip("\n")
    values["lanes"] = _lanes(values)
    for server, request_id in (("", "$request_id"), ("php_", "$http_x_request_id")):
        for name in ("wake", "page"):
            values[f"{server}{name}"] = fill(_template(f"{name}.conf.tmpl"), {**values, "request_id": request_id})
    return fill(_template("nginx.conf.tmpl"), values)


def _lanes(values: dict[str, str]) -> str:
    """Every way to an app."""
    kept_errors = _errors({504: "slow", 413: "oversize", 528: "limited", 529: "busy"})
    plain = [lane.text(values["routes"], values["app_errors"]) for lane in plain_lanes()]
    kept = [lane.text(values["routes"], kept_errors) for lane in kept_lanes((values["gate"].lstrip(),))]
    return "".join((*plain, *kept)).rstrip("\n")


def parent_domains(domain: str) -> list[str]:
    """*domain* and everything above it: no site may set a cookie there, because its neighbours and the manager would get it."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def _slot_lines() -> list[str]:
    share = 100 / SLOTS
    return [*(f"{share:.2f}% {slot};" for slot in range(SLOTS - 1)), f"* {SLOTS - 1};"]


def _errors(pages: dict[int, str]) -> str:
    """error_page lines: an inner status (580 and above are never sent) leads to a page with that page's own status."""
    status = {page.name: page.status for page in PAGES} | {"$waiting": 503}
    return _lines(12, (f"error_page {code} ={status[name]} /../{name}.$page_format;" for code, name in pages.items()))


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)


def _template(name: str) -> str:
    return resources.files("sitewright.router").joinpath("templates", name).read_text(encoding="utf-8")
