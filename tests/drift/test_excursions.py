import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.untrusted import BadInput
from agent.drift.excursions import (
    CALM,
    MOST_KEPT,
    Excursions,
    Excuse,
    Seen,
    learn_excursions,
    no_excursions,
)
from agent.drift.memory import KEEP, fade

COLUMNS = (3, 5)
LORRY = np.zeros(COLUMNS)
LORRY[0, :3] = (4.0, -4.0, 3.0)
KNOWN = Excursions(directions=LORRY[None], spans=np.array([10.0]))


def run(shown, excursions=KNOWN, excuse=None):
    """Whether each window, over the limit where it shows anything, is excused."""
    memory, excuse = np.zeros((*COLUMNS, KEEP.size)), excuse or Excuse()
    found = []
    for evidence in shown:
        memory = fade(memory, evidence)
        if not evidence.any():
            excuse.rest(1)
            found.append(False)
        else:
            found.append(
                excuse.step(excursions, Seen(memory=memory, scores=memory, answers=np.ones(memory.shape)))
            )
    return found


def test_what_came_and_went_before_is_excused_for_as_long_and_half_again():
    excused = run([LORRY] * 30)
    assert excused == [True] * 19 + [False] * 11


def test_another_direction_is_not_excused():
    other = np.zeros(COLUMNS)
    other[1, :] = 4.0
    assert not any(run([other] * 5))
    assert not any(run([LORRY] * 5, no_excursions(COLUMNS)))


def test_what_is_much_larger_is_not_excused():
    assert not run([3.0 * LORRY] * 10)[-1]


def test_a_small_and_long_one_that_is_alike_takes_no_excuse_from_a_larger_one():
    known = Excursions(directions=np.stack([0.3 * LORRY, LORRY]), spans=np.array([50.0, 10.0]))
    assert run([LORRY] * 30, known) == [True] * 19 + [False] * 11
    assert all(run([0.3 * LORRY] * 70, known))


def test_what_turns_out_to_be_like_a_longer_one_may_last_as_long():
    shower, rain = LORRY.copy(), LORRY.copy()
    shower[1, :3], rain[1, :3] = 3.0, -3.0
    known = Excursions(directions=np.stack([shower, rain]), spans=np.array([2.0, 40.0]))
    assert all(run([shower] * 3 + [rain] * 50, known))


def test_what_was_excused_in_full_is_not_excused_again_before_it_ended():
    nothing = np.zeros(COLUMNS)
    assert not run([LORRY] * 25 + [nothing] * (CALM - 1) + [LORRY])[-1]
    assert run([LORRY] * 25 + [nothing] * CALM + [LORRY])[-1]


def test_the_largest_episodes_of_a_reference_are_kept_with_direction_and_length():
    ratios, evidence = np.zeros(5000), np.zeros((5000, *COLUMNS))
    for number in range(20):
        at = slice(200 * number + 10, 200 * number + 22)
        ratios[at], evidence[at] = np.r_[np.linspace(0.8, 1.0 + number, 6), np.full(6, 0.85)], LORRY
    ratios[4990:] = 0.7
    found = learn_excursions(ratios, evidence)
    assert found.spans.tolist() == [12.0] * MOST_KEPT
    assert found.directions == pytest.approx(np.repeat(LORRY[None], MOST_KEPT, axis=0))


def test_an_episode_of_one_window_has_the_direction_of_three():
    ratios, evidence = np.zeros(50), np.ones((50, *COLUMNS))
    ratios[20], evidence[20] = 1.0, 4.0
    assert learn_excursions(ratios, evidence).directions == pytest.approx(np.full((1, *COLUMNS), 2.0))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(-5, 5)), max_size=60), st.integers(0, 60))
def test_it_goes_on_where_it_was(windows, cut):
    shown = [size * LORRY if over else np.zeros(COLUMNS) for over, size in windows]
    straight, first = Excuse(), Excuse()
    run(shown[:cut], excuse=first)
    again = Excuse.restore(json.loads(json.dumps(first.state())), KNOWN)
    run(shown[:cut], excuse=straight)
    assert run(shown[cut:], excuse=again) == run(shown[cut:], excuse=straight)


@pytest.mark.parametrize(
    "damage", [{"number": 7}, {"number": "a"}, {"left": -1.0}, {"calm": None}, {"calm": 99}]
)
def test_a_damaged_state_is_refused(damage):
    with pytest.raises(BadInput):
        Excuse.restore({"number": 0, "left": 1.0, "calm": 0} | damage, KNOWN)


@pytest.mark.parametrize("columns", [24, 96])
def test_what_changed_is_known_again_among_many_columns_that_did_not(columns):
    """Wet ground moved four features, and the chance of seventy others made each shower look like something else."""
    random, shape = np.random.default_rng(4), (3, columns // 3)
    wet, other = np.zeros((2, *shape))
    wet[0, :4], other[1, 2:6] = 7.0, 7.0
    for _ in range(50):
        before = wet + 0.3 * random.standard_normal(shape)  # it was seen for hours
        known = Excursions(directions=before[None], spans=np.array([10.0]))
        for now, is_alike in ((wet, True), (other, False)):
            scores = (now + random.standard_normal(shape))[..., None]
            seen = Seen(memory=scores.repeat(12, axis=-1), scores=scores, answers=np.ones(scores.shape))
            assert (known.alike(seen) is not None) == is_alike


def test_what_is_off_by_turns_is_no_larger_than_it_was():
    """Broken clouds: each shade was twice the mean of the hour, and so no familiar cloud."""
    ratios, evidence = np.zeros(400), np.zeros((400, *COLUMNS))
    shade = (np.arange(400) // 8) % 2 == 0
    ratios[100:300], evidence[100:300] = 0.9, shade[100:300, None, None] * LORRY
    found = learn_excursions(ratios, evidence)
    excused = np.array(run(list(evidence[100:300]), found))
    assert excused[shade[100:300]].all()
    assert not run([2.0 * LORRY] * 20, found)[-1]
