from typing import Any

from django.db import migrations
from django.db.models import F

USUAL_MEMORY_BYTES = 256 * 1024 * 1024
"""What every process was allowed until there were plans."""


def fill(apps: Any, _schema_editor: Any) -> None:
    """Every release may have been live; what channels may take is counted."""
    apps.get_model("releases", "Release").objects.filter(live_at=None).update(live_at=F("created_at"))
    channel = apps.get_model("sites", "Channel")
    for row in channel.objects.select_related("release").iterator(500):
        processes = ((row.release.blueprint or {}).get("processes") or []) if row.release else []
        running = [one for one in processes if one.get("type") != "release" and not one.get("schedule")]
        channel.objects.filter(pk=row.pk).update(scale={}, wanted_memory_bytes=len(running) * USUAL_MEMORY_BYTES)


class Migration(migrations.Migration):
    dependencies = [
        ("sites", "0002_sleep_scale_canary"),
        ("releases", "0003_trials"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
