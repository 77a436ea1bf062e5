"""Events are on disk until the manager has them."""

from sitewright.domain.events import EventKind
from sitewright.orchestrator.events import EventSpool
from sitewright.system.clock import FakeClock


def spool(path):
    events = EventSpool(path, FakeClock())
    events.load()
    return events


def test_events_outlive_a_restart_until_they_are_acknowledged(tmp_path):
    path = tmp_path / "events.jsonl"
    events = spool(path)
    first = events.emit(EventKind.INSTANCE_READY, "site", "channel", "web.1 is ready.")
    second = events.emit(EventKind.INSTANCE_CRASHED, "site", "channel", "web.1 exited with code 1.")
    assert spool(path).oldest() == (first, second)
    events.acknowledge((first,))
    assert spool(path).oldest() == (second,)


def test_a_line_cut_off_by_a_power_cut_loses_only_itself(tmp_path):
    path = tmp_path / "events.jsonl"
    events = spool(path)
    first = events.emit(EventKind.INSTANCE_READY, "site", "channel", "web.1 is ready.")
    with path.open("a") as file:
        file.write('{"id": "abc", "kind": "inst')
    again = spool(path)
    assert again.oldest() == (first,)
    second = again.emit(EventKind.INSTANCE_READY, "site", "channel", "web.2 is ready.")
    assert spool(path).oldest() == (first, second)
