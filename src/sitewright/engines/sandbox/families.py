"""Which warm parent fits an instance: by its server, and by the framework in its virtual environment."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from sitewright.domain.processes import Listen
from sitewright.engines.base import APP_DIRECTORY, InstanceSpec

_COMMON = (
    "base64", "collections", "concurrent.futures.thread", "contextlib", "csv", "datetime", "decimal", "email.message", "email.mime.text",
    "email.parser", "email.utils", "encodings.idna", "fractions", "functools", "hashlib",
    "hmac", "html", "html.parser", "http.client", "http.cookies",
    "importlib.metadata", "inspect", "json", "logging.config", "mimetypes", "pathlib", "queue", "random", "secrets", "shutil", "sqlite3",
    "ssl", "statistics", "string", "subprocess", "tempfile", "traceback", "unicodedata", "urllib.request", "uuid", "xml.etree.ElementTree",
)  # fmt: skip
"""Of the standard library. Not multiprocessing: it makes a key for its connections when it is imported, which copies would share."""
_GUNICORN = (
    *("argparse", "gunicorn.config", "gunicorn.app.wsgiapp", "gunicorn.arbiter", "gunicorn.glogging", "gunicorn.workers.gthread"),
    *("gunicorn.workers.sync", "gunicorn.http.wsgi", "asyncio", "gunicorn.ctl.server", "gunicorn.dirty.pidfile", "grp", "pwd"),
)
"""gunicorn.config has the user, folder and variables of the process that imports it as defaults: the parent imports as the user and in
the folder that all sites have inside, and a site with other variables imports it anew."""
_FLASK = ("flask", "flask.json", "flask.cli", "flask.testing", "flask.views", "jinja2.ext", "werkzeug.middleware.proxy_fix")
_DJANGO = (
    "django", "django.conf", "django.apps", "django.core.handlers.wsgi", "django.core.handlers.asgi", "django.core.wsgi",
    "django.core.asgi",
    "django.core.management", "django.core.mail", "django.core.cache", "django.core.paginator", "django.core.signing", "django.db",
    "django.db.models", "django.db.backends.sqlite3.base", "django.db.migrations", "django.forms", "django.http", "django.middleware.csrf",
    "django.middleware.security", "django.middleware.common", "django.middleware.clickjacking", "django.shortcuts", "django.template",
    "django.template.loaders.app_directories", "django.template.backends.django", "django.template.defaulttags", "django.urls",
    "django.utils.translation", "django.utils.timezone", "django.utils.html", "django.views.generic", "django.contrib.admin.apps",
    "django.contrib.auth.apps", "django.contrib.contenttypes.apps", "django.contrib.messages.apps", "django.contrib.messages.middleware",
    "django.contrib.messages.storage.fallback", "django.contrib.sessions.apps", "django.contrib.sessions.middleware",
    "django.contrib.sessions.backends.signed_cookies", "django.contrib.staticfiles.apps", "whitenoise.middleware",
)  # fmt: skip
_UVICORN = (
    "asyncio", "uvicorn.main", "uvicorn.server", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.middleware.proxy_headers",
    "uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.http.h11_impl", "uvicorn.protocols.websockets.auto",
)  # fmt: skip
_FASTAPI = ("fastapi", "fastapi.responses", "fastapi.security", "starlette.middleware.cors", "starlette.staticfiles")
_FRAMEWORKS = (("django", _DJANGO), ("flask", _FLASK), ("fastapi", _FASTAPI), ("starlette", ("starlette.applications",)))
_MOST_PYTHONS = 32
_SERVERS = {"gunicorn": _GUNICORN, "uvicorn": _UVICORN}


@dataclass(frozen=True, slots=True)
class Family:
    """Apps that one parent serves: what it imports, in order."""

    name: str
    modules: tuple[str, ...]


FAMILIES = {
    f"{server}-{framework}": Family(f"{server}-{framework}", (*_COMMON, *own, *modules))
    for server, own in _SERVERS.items()
    for framework, modules in (*_FRAMEWORKS, ("plain", ()))
}


def family_of(spec: InstanceSpec) -> Family | None:
    """The family of *spec*, None when only its command will do. Looks at names of folders only: what is in them is compared inside."""
    if not spec.warm or spec.warm[0] not in _SERVERS or spec.listen not in {Listen.FD, Listen.NONE} or spec.box.workdir != APP_DIRECTORY:
        return None
    tree = next((mount.source for mount in spec.box.mounts if mount.target == APP_DIRECTORY), None)
    framework = _framework(tree) if tree is not None else None
    return FAMILIES[f"{spec.warm[0]}-{framework}"] if framework is not None else None


def _framework(tree: Path) -> str | None:
    """Which one its environment has; None without an environment. No folder of the tenant's is read to its end: it may have a million
    files, and other sites' starts wait meanwhile."""
    library = tree / ".venv" / "lib"
    with contextlib.suppress(OSError):
        with os.scandir(library) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, _MOST_PYTHONS) if entry.name.startswith("python3"))
        packages = next((found for name in names if (found := library / name / "site-packages").is_dir()), None)
        if packages is not None:
            return next((name for name, _ in _FRAMEWORKS if (packages / name).is_dir()), "plain")
    return None
