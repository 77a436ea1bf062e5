"""The manager knows whether it has heard every word of a node."""

from sitewright.bus.messages import Heartbeat
from sitewright.manager.sites.heard import Heard


def beat(sequence, *, full=False, part=0, parts=1):
    return Heartbeat(node="node1", at=0.0, sequence=sequence, full=full, part=part, parts=parts)


def test_nothing_is_known_of_a_node_before_its_first_full_report():
    heard = Heard()
    heard.note(beat(7), 1.0)
    assert not heard.everything("node1")
    assert heard.note(beat(8, full=True), 2.0) == 2.0
    assert heard.everything("node1")


def test_a_missing_number_is_noticed_and_mended_by_the_next_full_report():
    heard = Heard()
    heard.note(beat(1, full=True), 1.0)
    heard.note(beat(3), 2.0)
    assert not heard.everything("node1")
    heard.note(beat(4, full=True), 3.0)
    assert heard.everything("node1")


def test_a_report_in_parts_is_complete_with_the_last_one_and_counts_from_the_first():
    heard = Heard()
    assert heard.note(beat(1, full=True, part=0, parts=3), 1.0) == 0.0
    assert heard.note(beat(2, full=True, part=1, parts=3), 2.0) == 0.0
    assert not heard.everything("node1")
    assert heard.note(beat(3, full=True, part=2, parts=3), 3.0) == 1.0
    assert heard.everything("node1")


def test_a_report_of_which_a_part_was_lost_is_not_complete():
    heard = Heard()
    heard.note(beat(1, full=True, part=0, parts=3), 1.0)
    assert heard.note(beat(3, full=True, part=2, parts=3), 2.0) == 0.0
    assert not heard.everything("node1")


def test_a_node_that_begins_to_count_anew_has_to_report_everything():
    heard = Heard()
    heard.note(beat(40, full=True), 1.0)
    heard.note(beat(1), 2.0)
    assert not heard.everything("node1")
