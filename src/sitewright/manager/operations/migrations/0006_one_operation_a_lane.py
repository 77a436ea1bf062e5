"""Apart from filling the lanes: PostgreSQL makes no index on a table with rows that the same transaction has changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0005_lanes")]

    operations = [
        migrations.AddConstraint(
            model_name="operation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["running", "waiting"]), models.Q(("lane", ""), _negated=True)),
                fields=("lane",),
                name="one_operation_a_lane",
            ),
        ),
    ]
