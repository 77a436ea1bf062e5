"""An instance's spec as a label and environment of its container, and back: the daemon itself remembers what it was told to run.

The environment's values are in the container's own environment only, not in the label a second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sitewright.commands.docker_config import INSTANCE_LABEL, JOB_LABEL, PLATFORM_LABEL, SPEC_LABEL, UID_LABEL
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec, JobSpec, Mount, Sandboxed


def instance_labels(tag: str, spec: InstanceSpec) -> tuple[tuple[str, str], ...]:
    """Labels of an instance's container."""
    return (
        (PLATFORM_LABEL, tag),
        (INSTANCE_LABEL, spec.id),
        (UID_LABEL, str(spec.box.uid)),
        (SPEC_LABEL, _spec_to_json(spec)),
    )


def job_labels(tag: str, job: JobSpec) -> tuple[tuple[str, str], ...]:
    """Labels of a job's container."""
    return ((PLATFORM_LABEL, tag), (JOB_LABEL, job.id), (UID_LABEL, str(job.box.uid)))


def _spec_to_json(spec: InstanceSpec) -> str:
    value = asdict(spec)
    value["box"]["env"] = [name for name, _ in spec.box.env]
    return json.dumps(value, default=str, sort_keys=True, separators=(",", ":"))


def spec_from(labels: Mapping[str, str], environment: list[str]) -> InstanceSpec:
    """The spec that ``instance_labels`` stored, with the values from the container's *environment* (NAME=value). Raises ValueError,
    KeyError or TypeError when another version wrote it."""
    value: dict[str, Any] = json.loads(labels[SPEC_LABEL])
    values = dict(line.split("=", 1) for line in environment if "=" in line)
    box = value["box"]
    box["env"] = tuple((name, values[name]) for name in box["env"])
    box["mounts"] = tuple(Mount(Path(mount["source"]), mount["target"], mount["writable"]) for mount in box["mounts"])
    box["limits"] = Limits(**box["limits"])
    value["box"] = Sandboxed(**box)
    value["listen"] = Listen(value["listen"])
    value["socket"] = Path(value["socket"])
    value["warm"] = tuple(value.get("warm", ()))
    return InstanceSpec(**value)
