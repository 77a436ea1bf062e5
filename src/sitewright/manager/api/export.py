"""Prints the API's OpenAPI description as JSON: `python -m sitewright.manager.api.export`."""

from __future__ import annotations

import json
import os
import sys


def main() -> int:
    """Print it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")
    import django  # noqa: PLC0415

    django.setup()
    from sitewright.manager.api.wiring import build  # noqa: PLC0415 - needs Django

    sys.stdout.write(json.dumps(build().get_openapi_schema(path_prefix="/api/v1/"), indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
