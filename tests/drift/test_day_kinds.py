import pytest

from agent.drift.day_kinds import hours_between, kinds_seen, weekend

HOUR, DAY = 3600.0, 86400.0
MONDAY = 1_789_948_800.0


def between(start, end, offset=0.0):
    return kinds_seen(hours_between(start, end), offset)


def test_weekends_are_those_of_local_time():
    assert [weekend(MONDAY + day * DAY, 0.0) for day in range(7)] == [False] * 5 + [True] * 2
    assert weekend(MONDAY + 5 * DAY - HOUR, 2 * HOUR)
    assert not weekend(MONDAY + 5 * DAY + HOUR, -8 * HOUR)


def test_a_week_has_seen_everything():
    assert between(MONDAY, MONDAY + 7 * DAY, 5.5 * HOUR).all()


@pytest.mark.parametrize("offset", [0.0, 8 * HOUR, -7 * HOUR])
def test_a_day_of_the_week_has_seen_no_weekend(offset):
    seen = between(MONDAY + DAY, MONDAY + 2 * DAY, offset)
    assert seen[:, 0].all()
    assert not seen[:, 1].any()


def test_a_morning_has_seen_its_hours_and_the_next():
    seen = between(MONDAY + 8 * HOUR, MONDAY + 10 * HOUR, 0.0)
    assert seen[:, 0].nonzero()[0].tolist() == [7, 8, 9, 10]


def test_a_single_day_of_a_kind_among_others_is_not_enough():
    friday = MONDAY + 4 * DAY
    assert between(friday, friday + 3 * DAY, 0.0).tolist() == [[False, True]] * 24
    assert between(friday - DAY, friday + 2 * DAY, 0.0).tolist() == [[True, False]] * 24
    assert not between(friday, friday + 2 * DAY, 0.0).any()


def test_a_day_that_begins_on_a_friday_evening_knows_the_hours_of_each():
    seen = between(MONDAY + 4 * DAY + 18 * HOUR, MONDAY + 5 * DAY + 18 * HOUR, 0.0)
    assert seen[20].tolist() == [True, False]
    assert seen[10].tolist() == [False, True]


def test_a_weekend_that_was_not_recorded_was_not_seen():
    """A power cut from Friday to Monday, or an alarm all weekend."""
    hours = [
        *hours_between(MONDAY + 3 * DAY, MONDAY + 5 * DAY),
        *hours_between(MONDAY + 7 * DAY, MONDAY + 9 * DAY),
    ]
    assert kinds_seen(hours, 0.0).tolist() == [[True, False]] * 24


def test_hours_in_part_count():
    assert list(hours_between(MONDAY + 1.0, MONDAY + HOUR + 1.0)) == [
        int(MONDAY // HOUR),
        int(MONDAY // HOUR) + 1,
    ]
    assert list(hours_between(MONDAY, MONDAY + HOUR)) == [int(MONDAY // HOUR)]
