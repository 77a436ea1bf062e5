"""Production of the sites of before follows their default branch."""

from typing import Any

from django.db import migrations


def follow(apps: Any, _schema_editor: Any) -> None:
    """A branch that another channel follows is left alone: none is, yet."""
    channels = apps.get_model("sites", "Channel")
    for name in channels.objects.filter(name="production", branch="").values_list("site__default_branch", flat=True).distinct():
        channels.objects.filter(name="production", branch="", site__default_branch=name).update(branch=name)


class Migration(migrations.Migration):
    dependencies = [("sites", "0004_every_way_in")]

    operations = [migrations.RunPython(follow, migrations.RunPython.noop, elidable=True)]
