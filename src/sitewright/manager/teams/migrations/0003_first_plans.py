from typing import Any

from django.db import migrations

PLANS = (
    {
        "name": "small",
        "memory_mb": 128,
        "cpu_millicores": 500,
        "cpu_weight": 50,
        "pids": 64,
        "open_files": 1024,
        "disk_mb": 1024,
        "log_kb_per_second": 32,
        "connections": 200,
        "requests_per_second": 100,
        "body_mb": 32,
        "freeze_after_minutes": 5,
        "stop_after_minutes": 30,
    },
    # Sites that were there before plans follow it, too.
    {"name": "standard", "is_default": True, "spreading": True},
    {
        "name": "always on",
        "memory_mb": 512,
        "cpu_millicores": 2000,
        "cpu_weight": 200,
        "pids": 256,
        "open_files": 8192,
        "disk_mb": 8192,
        "log_kb_per_second": 128,
        "always_on": True,
        "freeze_after_minutes": 0,
        "stop_after_minutes": 0,
        "open": False,
    },
)


def make(apps: Any, _schema_editor: Any) -> None:
    """The plans that a new platform begins with."""
    plan = apps.get_model("teams", "Plan")
    for fields in PLANS:
        plan.objects.get_or_create(name=fields["name"], defaults=fields)


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0002_plans"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
