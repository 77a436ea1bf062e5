"""Cron lines of a Procfile, and when they are due."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.builder.procfile import parse_procfile
from sitewright.builder.schedule import NICKNAMES, next_time
from sitewright.domain.processes import Listen, Schedule
from sitewright.errors import BuildError

BERLIN = ZoneInfo("Europe/Berlin")


def only(text):
    (spec,) = parse_procfile(text)
    return spec


@pytest.mark.parametrize(
    ("line", "schedule", "command"),
    [
        ("cron-tidy: 30 3 * * * python tidy.py --all", Schedule("30 3 * * *"), "python tidy.py --all"),
        ("cron-tidy: @daily python tidy.py", Schedule("@daily"), "python tidy.py"),
        ("cron-tidy: */5 9-17 * * MON-FRI ./look", Schedule("*/5 9-17 * * MON-FRI"), "./look"),
        ("cron-tidy: @hourly TZ=Europe/Berlin ./look", Schedule("@hourly", "Europe/Berlin"), "./look"),
        ("cron-tidy: @hourly overlap ./look", Schedule("@hourly", "UTC", overlap=True), "./look"),
        ("cron-tidy: 0 1 * * * TZ=Europe/Berlin overlap ./look now", Schedule("0 1 * * *", "Europe/Berlin", overlap=True), "./look now"),
        ("cron: 0 1 * * *   echo  two  blanks", Schedule("0 1 * * *"), "echo  two  blanks"),
    ],
)
def test_a_cron_line_is_a_schedule_options_and_a_command(line, schedule, command):
    spec = only(line)
    assert (spec.schedule, spec.command, spec.listen) == (schedule, command, Listen.NONE)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cron-tidy: 61 3 * * * ./look", "its minute is not understood"),
        ("cron-tidy: 0 3 * * FREITAG ./look", "its day-of-week is not understood"),
        ("cron-tidy: 30 3 * ./look", "five fields are needed"),
        ("cron-tidy: @fortnightly ./look", "“@fortnightly” is no schedule"),
        ("cron-tidy: 0 3 30 2 * ./look", "its day-of-month is not understood"),
        ("cron-tidy: @daily", "a command is needed"),
        ("cron-tidy: 0 3 * * *", "a command is needed"),
        ("cron-tidy: @daily TZ=Mars/Olympus ./look", "“Mars/Olympus” is no time zone"),
        ("cron-tidy: @daily TZ=../../etc/passwd ./look", "is no time zone"),
        ("cron-tidy: python tidy.py", "five fields are needed"),
        ("run: python shell.py", "choose another name"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_with_its_line(line, words):
    with pytest.raises(BuildError) as caught:
        parse_procfile(f"web: serve\n{line}\n")
    assert "line 2" in caught.value.message
    assert words in caught.value.details
    assert "Write it like" in caught.value.resolution


def at(*when, zone=BERLIN, fold=0):
    return datetime(*when, tzinfo=zone, fold=fold).timestamp()


def test_a_fixed_time_that_summer_time_leaves_out_runs_right_after_the_gap_and_once():
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    first = next_time(schedule, at(2027, 3, 28, 0, 0))
    assert first == at(2027, 3, 28, 3, 0)
    assert next_time(schedule, first) == at(2027, 3, 29, 2, 30)


def test_a_fixed_time_that_comes_twice_runs_once():
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    first = next_time(schedule, at(2027, 10, 31, 0, 0))
    assert first == at(2027, 10, 31, 2, 30)
    assert next_time(schedule, first) == at(2027, 11, 1, 2, 30)


def test_every_half_hour_follows_real_time_through_both_changes():
    schedule = Schedule("*/30 * * * *", "Europe/Berlin")
    for start in (at(2027, 3, 28, 0, 0), at(2027, 10, 31, 0, 0)):
        due = start
        for _ in range(12):
            later = next_time(schedule, due)
            assert later - due == 1800
            due = later


EXPRESSIONS = [*NICKNAMES, "* * * * *", "*/7 * * * *", "30 2 * * *", "0 */6 * * *", "15 3 1 * *", "0 4 * * SUN", "59 23 31 12 *"]


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.floats(1.6e9, 2.0e9),
)
def test_the_next_time_is_later_whole_minutes_and_nothing_lies_between(expression, zone, after):
    schedule = Schedule(expression, zone)
    due = next_time(schedule, after)
    assert due > after
    assert due % 60 == 0
    assert next_time(schedule, (after + due) / 2) == due
