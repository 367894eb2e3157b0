"""Twin of agent/alerts/schedule.py."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from agent.alerts.schedule import parse_schedule
from agent.core import clock


def at(day, clock):
    """Unix time of a moment in the week of Monday 2023-11-13, UTC."""
    number = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day)
    hour, minute = map(int, clock.split(":"))
    return datetime(2023, 11, 13 + number, hour, minute, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("text", "day", "clock", "on"),
    [
        ("08:00-17:00", "wed", "08:00", True),
        ("08:00-17:00", "wed", "17:00", False),
        ("22:00-06:00", "mon", "05:59", True),
        ("22:00-06:00", "mon", "21:59", False),
        ("fri 22:00-06:00", "sat", "03:00", True),
        ("fri 22:00-06:00", "fri", "03:00", False),
        ("sun 22:00-06:00", "mon", "03:00", True),
        ("mon-fri 08:00-17:00, sat 08:00-12:00", "sat", "11:00", True),
        ("mon-fri 08:00-17:00, sat 08:00-12:00", "sat", "13:00", False),
        ("sat-sun", "sun", "23:59", True),
        ("fri-mon", "sun", "00:00", True),
        ("fri-mon", "tue", "00:00", False),
        ("MON", "mon", "00:00", True),
        ("00:00-24:00", "thu", "12:00", True),
    ],
)
def test_on(text, day, clock, on):
    assert parse_schedule(text).on(at(day, clock)) is on


def test_when_it_ends():
    assert parse_schedule("22:00-06:00").ends(at("mon", "23:00")) == at("tue", "06:00")
    assert parse_schedule("22:00-06:00").ends(at("mon", "12:00")) is None
    assert parse_schedule("22:00-06:00").ends(at("mon", "21:30"), utc_offset=3600) == at("tue", "05:00")


@pytest.fixture(params=["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
def local(request, monkeypatch):
    """This process lives there; they move their clocks by an hour or by half of one."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield ZoneInfo(request.param)
    monkeypatch.undo()
    time.tzset()


def test_it_follows_the_clock_on_the_wall_in_a_year_with_both_changes(local):
    night, morning = parse_schedule("22:00-06:00"), parse_schedule("sun 02:00-03:30")
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    offsets = set()
    for moment in range(int(begin), int(begin) + 365 * 86400, 900):
        shown = datetime.fromtimestamp(moment, local)
        at, offset = shown.hour * 60 + shown.minute, clock.utc_offset(moment)
        offsets.add(offset)
        assert night.on(moment, offset) is (at >= 22 * 60 or at < 6 * 60), shown
        assert morning.on(moment, offset) is (shown.weekday() == 6 and 120 <= at < 210), shown
    assert len(offsets) == 2, "summer time and winter time"


def test_a_zone_that_is_set_while_the_agent_runs_counts_at_once(local, monkeypatch):
    """A new box is set up in UTC, and gets its zone when somebody notices."""
    before = clock.utc_offset(0.0)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert before != clock.utc_offset(0.0) == 9 * 3600


@pytest.mark.parametrize(
    "text", ["", "night", "25:00-26:00", "mon-xyz", "08:00", "8-17", "mon 08:00-17:00,", "24:30-25:00"]
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="is not a schedule; expected"):
        parse_schedule(text)
