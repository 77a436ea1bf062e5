"""Operations in a process of their own, beside a manager that runs with SITEWRIGHT_WORKERS=0. Any number of these may run."""

from __future__ import annotations

import os
import signal
import sys
import threading

from sitewright.config.settings import load_settings
from sitewright.errors import SitewrightError
from sitewright.system.log import configure_logging


def main() -> int:
    """Work until TERM or INT."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        import django  # noqa: PLC0415

        django.setup()
        from sitewright.manager.process import Process  # noqa: PLC0415 - needs Django

        process = Process(settings, threads=settings.workers or 2, listens=False)
    except SitewrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    process.start()
    stopping.wait()
    process.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
