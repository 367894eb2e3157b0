import json

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.excursions import Excursions, Seen, no_excursions
from agent.drift.passing import APART_SECONDS, FORGOTTEN_SECONDS, LONGEST_SECONDS, MOST_KEPT, Passing

COLUMNS = (3, 5)
DAY = 86400.0
WINDOW = 60.0


def direction(*location):
    found = np.zeros(COLUMNS)
    found[0, : len(location)] = location
    return found


LORRY = direction(4.0, -4.0, 3.0)


def passed(*at, of=LORRY, minutes=13.0):
    """What is known after changes that were gone at these times."""
    passing = Passing()
    for each in at:
        passing.add(of, each - 60.0 * minutes, each, WINDOW)
    return passing


def familiar(passing):
    return passing.joined(no_excursions(COLUMNS))


def test_what_came_and_went_on_two_days_is_familiar_with_its_direction_and_length():
    assert not len(familiar(passed(DAY)).spans)
    found = familiar(passed(DAY, 2 * DAY))
    assert found.spans.tolist() == [10.0]  # the last three windows were calm
    assert found.directions == pytest.approx(LORRY[None])
    lorry = np.repeat(LORRY[..., None], 12, axis=-1)
    assert found.alike(Seen(memory=lorry, scores=lorry, answers=np.ones(lorry.shape))) == 0


def test_twice_within_hours_counts_once():
    assert not len(familiar(passed(DAY, DAY + APART_SECONDS - 1)).spans)
    assert len(familiar(passed(DAY, DAY + 600, DAY + APART_SECONDS)).spans) == 1


def test_what_lasted_for_half_a_day_is_told_each_time():
    assert not len(familiar(passed(DAY, 2 * DAY, 3 * DAY, minutes=LONGEST_SECONDS / 60 + 1)).spans)


def test_two_kinds_are_kept_apart_and_the_longest_span_counts():
    passing = passed(DAY, 2 * DAY)
    for day in (3, 4):
        passing.add(direction(0.0, 0.0, 0.0, 5.0, 5.0), day * DAY - 7200, day * DAY, WINDOW)
    passing.add(1.2 * LORRY, 5 * DAY - 1800.0, 5 * DAY, WINDOW)
    assert sorted(familiar(passing).spans) == [27.0, 117.0]


def test_what_was_not_seen_for_weeks_is_forgotten_but_not_what_was_excused_meanwhile():
    later = 2 * DAY + FORGOTTEN_SECONDS
    forgotten, seen = passed(DAY, 2 * DAY), passed(DAY, 2 * DAY)
    seen.seen(LORRY, later - DAY)
    for passing in (forgotten, seen):
        passing.add(direction(0.0, 0.0, 0.0, 0.0, 5.0), later - 600, later, WINDOW)
    assert not len(familiar(forgotten).spans)
    assert len(familiar(seen).spans) == 1


def test_the_newest_are_kept_and_stand_after_those_of_the_reference():
    passing = Passing()
    for number in range(2 * MOST_KEPT):
        one = np.zeros(COLUMNS[0] * COLUMNS[1])
        one[number % 15] = (-1.0) ** (number // 15)
        for day in (0, 1):
            at = DAY * (1 + day) + 60.0 * number
            passing.add(one.reshape(COLUMNS), at - 600.0, at, WINDOW)
    assert len(passing.kept) == MOST_KEPT
    known = Excursions(directions=LORRY[None], spans=np.array([99.0]))
    assert passing.joined(known).spans[0] == 99.0


def test_it_goes_on_where_it_was():
    passing = passed(DAY, 2 * DAY)
    again = Passing.restore(json.loads(json.dumps(passing.state())), COLUMNS)
    assert familiar(again).directions == pytest.approx(familiar(passing).directions)
    assert [(each.span, each.often, each.counted, each.last) for each in again.kept] == [
        (each.span, each.often, each.counted, each.last) for each in passing.kept
    ]
    assert Passing.restore(Passing().state(), COLUMNS).kept == []


@pytest.mark.parametrize("damage", [{"count": 17}, {"count": 2}, {"figures": "AAAA"}, {"directions": "!"}])
def test_a_damaged_state_is_refused(damage):
    with pytest.raises(BadInput):
        Passing.restore(passed(DAY).state() | damage, COLUMNS)
