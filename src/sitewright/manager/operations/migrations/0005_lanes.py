"""Operations of before get their lanes: the site's for what is about all of it, production's for everything else."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, OuterRef, Subquery

WHOLE_SITE = ("create", "rename", "delete")


def fill(apps: Any, _schema_editor: Any) -> None:
    """Every operation of a site that is still there."""
    operations, channels = apps.get_model("operations", "Operation"), apps.get_model("sites", "Channel")
    production = channels.objects.filter(site=OuterRef("site"), name="production").values("id")[:1]
    rows = operations.objects.filter(lane="", site__isnull=False)
    rows.filter(kind__in=WHOLE_SITE).update(lane=F("site_id"))
    rows.filter(lane="", site__channels__name="production").update(channel_id=Subquery(production), lane=Subquery(production))


class Migration(migrations.Migration):
    dependencies = [("operations", "0004_every_way_in"), ("sites", "0005_production_follows_the_default_branch")]

    operations = [
        migrations.AlterField(
            model_name="operation",
            name="lane",
            field=models.CharField(blank=True, default="", max_length=20),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.RemoveConstraint(model_name="operation", name="one_operation_a_site"),
    ]
