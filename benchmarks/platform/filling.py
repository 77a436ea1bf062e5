"""Fills a stopped platform with thousands of sites that are like two real ones: `python -m benchmarks.platform.filling COUNT NAME …`.

Everything a deployed site has is made: rows of the manager (site, channel, route, release, build, latest operation and its steps), the
node's desired state and memory, and folders. Those of the last sites are whole, with hard links to the first one's files; the others have
what is looked at while nobody wakes them: 500 files each would be five million. The platform is SITEWRIGHT_HOME's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sitewright.config.settings import Settings, load_settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.orchestrator.model import wanted_processes
from sitewright.orchestrator.sleep import shape_of, sleepers
from sitewright.system.accounts import router_account, tenant_uid
from sitewright.system.files import read_checked_json, write_checked_json

BATCH = 500
WHOLE = 2
"""So many of the last sites have all folders and files of the first one."""
_DESIRED: TypeAdapter[DesiredChannel] = TypeAdapter(DesiredChannel)


@dataclass
class Twin:
    """One made site: the new id of every id of the first one, its name and number."""

    name: str
    number: int
    ids: dict[str, str] = field(default_factory=dict)

    def of(self, known: str) -> str:
        """The id that stands for *known* here."""
        return self.ids.setdefault(known, new_id())


def fill(settings: Settings, names: Iterable[str], count: int) -> None:
    """Make *count* sites like each of these. They are called NAME-00001 and so on."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")
    import django  # noqa: PLC0415 - the settings are known now

    django.setup()
    from django.db.models import F  # noqa: PLC0415

    from sitewright.manager.sites.models import Serial, Site  # noqa: PLC0415

    for name in names:
        first = Site.objects.get(name=name)
        number = Serial.objects.get(name="site").last
        twins = [Twin(f"{name}-{index:05d}", number + index) for index in range(1, count + 1)]
        _rows(first, twins)
        Serial.objects.filter(name="site").update(last=F("last") + count)
        channel = first.channels.get()
        assert channel.release is not None, f"{name} was never deployed"
        served = settings.paths.release(first.id, channel.name, channel.release.number)
        for twin in twins:
            _node_files(settings, twin, channel.id)
        for twin in twins[:-WHOLE]:
            _served_folder(settings, twin, first.id, served)
        for twin in twins[-WHOLE:]:
            _folders(settings, twin, first.id)
    _give_back(settings)


def _rows(first: Any, twins: list[Twin]) -> None:
    from sitewright.manager.domains.models import Route  # noqa: PLC0415
    from sitewright.manager.operations.models import Operation, Step  # noqa: PLC0415
    from sitewright.manager.releases.models import Build, Release  # noqa: PLC0415
    from sitewright.manager.sites.models import Channel, Site  # noqa: PLC0415

    channel = first.channels.get()
    operations = list(Operation.objects.filter(site=first)[:1])
    _copy(Site, [first], twins, lambda row, twin: _set(row, id=twin.of(first.id), name=twin.name, number=twin.number))
    _copy(Channel, [channel], twins, lambda row, twin: _set(row, id=twin.of(channel.id), site_id=twin.of(first.id), release_id=None))
    _copy(Build, channel.builds.all(), twins, lambda row, twin: _set(row, id=twin.of(row.id), channel_id=twin.of(channel.id)))

    def release(row: Any, twin: Twin) -> Any:
        build = twin.of(row.build_id) if row.build_id else None
        # Their files are the first one's: one team holds them all, and must have room left.
        return _set(row, id=twin.of(row.id), channel_id=twin.of(channel.id), build_id=build, size_bytes=0)

    _copy(Release, channel.releases.all(), twins, release)
    if channel.release_id:
        made = [Channel(id=twin.of(channel.id), release_id=twin.of(channel.release_id)) for twin in twins]
        Channel.objects.bulk_update(made, ["release"], batch_size=BATCH)
    _copy(Route, channel.routes.all(), twins, lambda row, twin: _host(row, twin, channel.id, first.name))
    _copy(Operation, operations, twins, lambda row, twin: _operation(row, twin, first.id))
    steps = [step for operation in operations for step in operation.steps.all()]
    _copy(Step, steps, twins, lambda row, twin: _set(row, id=None, pk=None, operation_id=twin.of(row.operation_id)))


def _host(row: Any, twin: Twin, channel_id: str, name: str) -> Any:
    return _set(row, id=None, pk=None, host=row.host.replace(name, twin.name, 1), channel_id=twin.of(channel_id))


def _operation(row: Any, twin: Twin, site_id: str) -> Any:
    return _set(row, id=twin.of(row.id), site_id=twin.of(site_id), site_name=twin.name, idempotency_key=None)


def _set(row: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _copy(model: Any, rows: Iterable[Any], twins: list[Twin], change: Any) -> None:
    known = list(rows)

    def made() -> Iterator[Any]:
        for twin in twins:
            for row in known:
                fresh = copy(row)
                fresh._state = copy(row._state)
                fresh._state.adding = True
                yield change(fresh, twin)

    model.objects.bulk_create(made(), batch_size=BATCH)


def _node_files(settings: Settings, twin: Twin, channel_id: str) -> None:
    """Desired state and the orchestrator's memory: the first one's with other ids, number, name and host. What sleeps there sleeps as the
    twin would, and a route leads to the twin's own files."""
    desired = _twin_of(settings.paths.desired / f"{channel_id}.json", twin)
    name = desired["site_name"]
    desired["hosts"] = [host.replace(name, twin.name, 1) for host in desired["hosts"]]
    desired["site_name"], desired["number"] = twin.name, twin.number
    kept = _twin_of(settings.paths.remembered / f"{channel_id}.json", twin)
    assert kept["settled"] is not None, f"{name} is not at rest: its twins would not be either"
    kept["settled"]["hosts"] = list(desired["hosts"])
    if kept["sleep"]["shape"]:
        wanted = wanted_processes(_DESIRED.validate_python(desired))
        kept["sleep"]["shape"] = shape_of(sleepers(wanted))
    for folder, body in ((settings.paths.desired, desired), (settings.paths.remembered, kept)):
        write_checked_json(folder / f"{twin.of(channel_id)}.json", body, durable=False)


def _twin_of(path: Path, twin: Twin) -> dict[str, Any]:
    text = json.dumps(read_checked_json(path))
    for known, made in twin.ids.items():
        text = text.replace(known, made)
    body: dict[str, Any] = json.loads(text)
    return body


def _folders(settings: Settings, twin: Twin, site_id: str) -> None:
    """All of them."""
    target = settings.paths.site(twin.of(site_id))
    shutil.copytree(settings.paths.site(site_id), target, symlinks=True, copy_function=_link)
    uid, gid = tenant_uid(settings.uid_base, twin.number), router_account().gid
    for folder, _, _ in os.walk(target):
        os.chown(folder, uid, gid)


def _served_folder(settings: Settings, twin: Twin, site_id: str, served: Path) -> None:
    """Only what the router and the planner look at: the release that is served, with its pages."""
    uid, gid = tenant_uid(settings.uid_base, twin.number), router_account().gid
    top = settings.paths.site(twin.of(site_id))
    target = top / served.relative_to(settings.paths.site(site_id))
    for folder in reversed([target, *target.parents]):
        if folder.is_relative_to(top):
            folder.mkdir(mode=0o750)
            os.chown(folder, uid, gid)
    for file in served.glob("*.html"):
        _link(str(file), str(target / file.name))


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


def _give_back(settings: Settings) -> None:
    from sitewright.up.prepare import give_manager_its_files  # noqa: PLC0415

    give_manager_its_files(settings.paths)


if __name__ == "__main__":
    fill(load_settings(), sys.argv[2:], int(sys.argv[1]))
