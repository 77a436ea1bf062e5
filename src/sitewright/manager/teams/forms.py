"""What an administrator fills in for a plan; the rules are the service's, here they are only asked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.models import fields_for_model, model_to_dict

from sitewright.manager.teams.models import Plan

LABELS = {
    "memory_mb": "Memory of a process, MB",
    "cpu_millicores": "Processor, thousandths",
    "cpu_weight": "Share when all want it (100 is usual)",
    "pids": "Processes and threads",
    "open_files": "Open files",
    "disk_mb": "Disk of a release, and of data, MB",
    "log_kb_per_second": "Log, KB a second",
    "connections": "Requests at a time (0: no bound)",
    "requests_per_second": "Requests a second (0: no bound)",
    "body_mb": "Largest upload, MB (0: no bound)",
    "freeze_after_minutes": "Freezes after, minutes (0: never)",
    "stop_after_minutes": "Stops after, minutes (0: never)",
    "always_on": "Sites may be kept awake always",
    "open": "Owners of teams may choose it",
    "is_default": "Teams have it when nobody has chosen another",
}


class PlanForm(forms.Form):
    """A plan's name and figures, as the columns have them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.update(fields_for_model(Plan, fields=("name", *LABELS), labels=LABELS))


def figures(plan: Plan) -> dict[str, Any]:
    """What the form shows first."""
    return model_to_dict(plan, fields=("name", *LABELS))
