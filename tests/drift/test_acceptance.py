"""A change that is accepted is normal from then on, at hours not seen since as well, and nothing else is."""

import numpy as np
import pytest

from agent.drift.acceptance import accept
from agent.drift.judge import DriftJudge
from agent.drift.recent import DIRECTIONS, RecentWeek
from agent.drift.storage import from_json, to_json
from tests.drift.conftest import MIDNIGHT, NAMES, Camera

TOMORROW = MIDNIGHT + 26 * 3600.0


def seen(windows, start=TOMORROW, **change):
    recent, camera = RecentWeek(), Camera(31, start)
    for window in camera.windows(windows, **change):
        recent.add(window, np.zeros(DIRECTIONS), 0, alarmed=True)
    return recent.blocks, camera


def alarms(reference, camera, windows, **change):
    judge = DriftJudge(reference)
    return sum(judge.judge(each, each.end).alarm for each in camera.windows(windows, **change))


def median(reference, hour, number):
    return float(reference.hours[hour].sketches[number].quantiles([0.5])[0])


@pytest.mark.parametrize(
    "change", [{"shift": 3.0}, {"shift": 12.0}, {"spread": 2.5}, {"shift": -4.0, "feature": 1}]
)
def test_what_was_accepted_raises_no_alarm_any_more(day_reference, change):
    blocks, camera = seen(180, **change)
    accepted = accept(day_reference, blocks, camera.now)
    assert alarms(day_reference, Camera(5, camera.now), 30, **change) > 15
    assert alarms(accepted, Camera(5, camera.now), 120, **change) == 0


def test_the_old_state_is_unusual_from_then_on(day_reference):
    blocks, camera = seen(180, shift=4.0)
    accepted = accept(day_reference, blocks, camera.now)
    assert alarms(accepted, Camera(5, camera.now), 30) > 15


def test_hours_not_seen_since_move_by_as_much_and_features_that_did_not_change_stay(day_reference):
    blocks, camera = seen(180, shift=3.0)
    accepted = accept(day_reference, blocks, camera.now)
    for hour in (3, 9, 15, 21):
        assert median(accepted, hour, 0) - median(day_reference, hour, 0) == pytest.approx(30.0, abs=5.0)
        for number in (1, 2, 3, 4):
            assert median(accepted, hour, number) == pytest.approx(
                median(day_reference, hour, number), rel=0.15
            )


def test_nothing_changed_nothing_moves(day_reference):
    blocks, camera = seen(180)
    accepted = accept(day_reference, blocks, camera.now)
    for hour, normal in accepted.hours.items():
        for new, old in zip(normal.sketches, day_reference.hours[hour].sketches, strict=True):
            assert new.quantiles([0.5])[0] == pytest.approx(old.quantiles([0.5])[0], rel=0.05)
    before, after = day_reference.calibration, accepted.calibration
    np.testing.assert_allclose(after.refinement.offset, before.refinement.offset, atol=0.05)
    for each in ("noise", "size", "distances"):
        ratio = getattr(after, each) / getattr(before, each)
        assert np.quantile(ratio, 0.9) == pytest.approx(1.0, abs=0.01), "limits stay the whole reference's"
        assert ratio.max() < 1.5, "what lies beside its mean by nearly two standard errors may have changed"
    assert accepted.id != day_reference.id


def test_a_skewed_feature_moves_by_the_factor_that_it_changed_by_and_by_none_where_it_did_not(day_reference):
    """The logarithm of a mean window lies above the mean of logarithms: it passed for 0.2 sigma of change."""
    sigmas = {}
    for shift in (1.0, -1.0, 0.0):
        blocks, camera = seen(600, shift=shift, feature=1)
        accepted = accept(day_reference, blocks, camera.now)
        factors = [median(accepted, hour, 1) / median(day_reference, hour, 1) for hour in range(24)]
        sigmas[shift] = float(np.log(factors).mean() / 0.8)
    assert sigmas[1.0] - sigmas[-1.0] == pytest.approx(2.0, abs=0.15), (
        "of an uncertain change a part is taken"
    )
    assert sigmas[1.0] + sigmas[-1.0] == pytest.approx(0.0, abs=0.15), "what chance leaves of ten hours"
    assert abs(sigmas[0.0]) < 0.1


def test_hours_that_an_earlier_acceptance_has_met_stay(day_reference):
    blocks, camera = seen(60, shift=5.0)
    accepted = accept(day_reference, blocks, camera.now, settled={9, 10})
    assert median(accepted, 9, 0) == median(day_reference, 9, 0)
    assert median(accepted, 15, 0) > median(day_reference, 15, 0) + 30


def test_counts_stay_whole_numbers(day_reference):
    blocks, camera = seen(180, shift=3.0, feature=2)
    boxes = accept(day_reference, blocks, camera.now).hours[12].sketches[NAMES.index("boxes")]
    values = boxes.weighted()[0]
    assert (values == np.rint(values)).all()
    assert boxes.quantiles([0.5])[0] == pytest.approx(2.0 + 1.2 * 3.0, abs=1.0)


def test_the_class_mix_is_taken_in_with_classes_that_are_new(day_reference):
    blocks, camera = seen(120, classes=(0, 5, 5))
    accepted = accept(day_reference, blocks, camera.now)
    assert accepted.class_ids == (*day_reference.class_ids, 5)
    shares = accepted.hours[12].classes / accepted.hours[12].classes.sum()
    assert shares[accepted.class_ids.index(5)] == pytest.approx(2 / 3, abs=0.1)
    assert alarms(accepted, Camera(6, camera.now), 60, classes=(0, 5, 5)) == 0


def test_it_is_stored_and_read_like_any_other(day_reference):
    blocks, camera = seen(60, shift=40.0)
    accepted = accept(day_reference, blocks, camera.now)
    again = from_json(to_json(accepted))
    assert again.id == accepted.id
    assert again.origin.start == day_reference.origin.start, "it still knows the days it was recorded on"


def test_features_that_move_together_are_not_judged_until_a_new_recording(day_reference):
    blocks, camera = seen(60, shift=3.0)
    accepted = from_json(to_json(accept(day_reference, blocks, camera.now)))
    verdicts = [DriftJudge(each) for each in (day_reference, accepted)]
    (window,) = Camera(5, camera.now).windows(1)
    before, after = (judge.judge(window, window.end) for judge in verdicts)
    assert before.pair is not None
    assert after.pair is None
