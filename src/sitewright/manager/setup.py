"""Makes the manager ready: key, tables, first administrator, the token of whoever runs the platform. Run at each start, so it is quick.

Prints one line of JSON: {"sign_in_url": "/accounts/link/…/"}.
"""

from __future__ import annotations

import json
import os
import sys

from sitewright.config.paths import Paths
from sitewright.config.settings import load_settings
from sitewright.errors import SitewrightError


def main() -> int:
    """Set up; 0, or the exit code of the error that is printed."""
    try:
        print(json.dumps({"sign_in_url": prepare()}))
    except SitewrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def prepare() -> str:
    """Do what is missing; the path of a fresh sign-in link."""
    os.umask(0o077)
    paths = load_settings().paths
    paths.database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    from sitewright.manager.keys import ensure_keys  # noqa: PLC0415 - settings read the key when Django starts

    ensure_keys(paths)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")
    import django  # noqa: PLC0415

    django.setup()
    migrate()
    return first_admin(paths)


def migrate() -> bool:
    """Bring the tables up to date. Whether there was anything to do."""
    from django.db import connection  # noqa: PLC0415
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    executor = MigrationExecutor(connection)
    targets = executor.loader.graph.leaf_nodes()
    if not executor.migration_plan(targets):
        return False
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    return True


def first_admin(paths: Paths) -> str:
    """The first administrator, their team and the local token; the path of a fresh sign-in link."""
    from django.conf import settings  # noqa: PLC0415

    from sitewright.manager.accounts.services import ensure_admin, link_path, make_link  # noqa: PLC0415

    admin = ensure_admin(settings.PLATFORM.manager_host)
    ensure_local_token(paths)
    return link_path(make_link(admin))


def ensure_local_token(paths: Paths) -> None:
    """The token file of the user who runs the platform, 0600; made anew when its token is not valid any more."""
    from django.conf import settings  # noqa: PLC0415

    from sitewright.manager.accounts.services import ensure_admin, make_token, token_of  # noqa: PLC0415
    from sitewright.system.files import write_atomic  # noqa: PLC0415

    try:
        kept = paths.local_token.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if kept and token_of(kept) is not None:
        return
    _, text = make_token(ensure_admin(settings.PLATFORM.manager_host), "this machine")
    write_atomic(paths.local_token, f"{text}\n".encode(), mode=0o600)


if __name__ == "__main__":
    sys.exit(main())
