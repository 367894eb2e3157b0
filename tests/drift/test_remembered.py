"""What a judge's last windows left: it fades, begins anew after an alarm, and goes on from what was saved."""

import json

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.memory import KEEP, SCALE_KEEP
from agent.drift.remembered import Remembered

COLUMNS, MIX = (3, 5), 2


@pytest.fixture
def remembered(day_reference):
    return Remembered(day_reference, COLUMNS, MIX)


def seen(remembered, value=1.0):
    remembered.add_evidence(np.full(COLUMNS, value), 1.0, known=True)
    remembered.add_classes(np.full((1, MIX), value), 1.0)
    remembered.add_knots(np.full((5, 3), value, np.float32))


def test_evidence_fades_by_the_windows_that_passed(remembered):
    seen(remembered)
    np.testing.assert_allclose(remembered.memory[0, 0], 1.0 - KEEP)
    remembered.add_evidence(np.zeros(COLUMNS), 3.0, known=True)
    np.testing.assert_allclose(remembered.memory[0, 0], (1.0 - KEEP) * KEEP**3)


def test_percentiles_fade_and_what_is_undefined_leaves_what_was(remembered):
    seen(remembered, 1.0)
    unknown = np.full((5, 3), np.nan, np.float32)
    unknown[0] = 2.0
    remembered.add_knots(unknown)
    np.testing.assert_allclose(remembered.knots[:, 0, 0], 2.0 - SCALE_KEEP)
    np.testing.assert_array_equal(remembered.knots[:, 1], np.ones((4, 3)))


def test_after_an_alarm_nothing_of_its_drift_is_left_but_the_percentiles(remembered, day_reference):
    seen(remembered)
    knots = remembered.knots.copy()
    remembered.begin_anew()
    fresh, left = Remembered(day_reference, COLUMNS, MIX).state(), remembered.state()
    assert {**left, "knots": None} == fresh
    np.testing.assert_array_equal(remembered.knots, knots)


def test_it_goes_on_from_what_was_saved(remembered, day_reference):
    seen(remembered)
    state = json.loads(json.dumps(remembered.state()))
    again = Remembered(day_reference, COLUMNS, MIX).restored(state)
    seen(remembered, 2.0)
    seen(again, 2.0)
    assert again.state() == remembered.state()


def test_what_is_damaged_changes_nothing(remembered):
    seen(remembered)
    before = remembered.state()
    with pytest.raises(BadInput, match="ranks"):
        remembered.restored({**before, "ranks": "AAAA"})
    assert remembered.state() == before
