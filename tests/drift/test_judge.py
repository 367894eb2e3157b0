import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ReferenceMismatch
from agent.drift.excursions import Excursions
from agent.drift.judge import DriftJudge, Judge
from agent.drift.reference import from_images
from agent.drift.sketch import Window

NAMES = ("brightness", "sharpness", "boxes", "confidence", "constant")


def until_alarm(judge, windows):
    """Windows until the alarm, and its verdict; None where there was none."""
    for number, window in enumerate(windows, start=1):
        verdict = judge.judge(window, window.end)
        if verdict.alarm:
            return number, verdict
    return None


def strongest(verdict):
    """The name of the feature nearest to its limit, or furthest over it."""
    return max(verdict.features, key=lambda each: each.ratio).feature


def test_nothing_is_said_when_nothing_changes(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, tomorrow.windows(22 * 60)) is None


@pytest.mark.parametrize(
    ("change", "name", "sign"),
    [
        ({"feature": 0, "shift": 2.0}, "brightness", 1),
        ({"feature": 1, "shift": -2.0}, "sharpness", -1),
        ({"feature": 3, "shift": 2.0}, "confidence", 1),
        ({"feature": 0, "spread": 3.0}, "brightness", 0),
    ],
)
def test_a_change_is_seen_and_named(day_reference, tomorrow, change, name, sign):
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, tomorrow.windows(60)) is None
    number, verdict = until_alarm(judge, tomorrow.windows(120, **change))
    assert number <= 30
    assert strongest(verdict) == name
    found = verdict.feature(name)
    assert not sign or (found.aspect, np.sign(found.score)) == ("location", sign)
    assert verdict.alarm_since == verdict.end
    assert not verdict.provisional


def test_it_says_by_how_much(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    _, verdict = until_alarm(judge, tomorrow.windows(200, feature=0, shift=3.0))
    for window in tomorrow.windows(40, feature=0, shift=3.0):
        verdict = judge.judge(window, window.end)
    found = verdict.feature("brightness")
    assert found.then[1] == pytest.approx(100, abs=3)
    assert found.now[1] == pytest.approx(130, abs=5)
    assert found.distances["ks"].value > found.distances["ks"].limit
    assert found.distances["psi"].value > 0.5 * found.distances["psi"].limit > 0


def test_one_drift_is_one_alarm_and_it_ends(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    until_alarm(judge, tomorrow.windows(60))
    since = set()
    for window in tomorrow.windows(240, feature=0, shift=2.0):
        since.add(judge.judge(window, window.end).alarm_since)
    assert len(since - {None}) == 1
    assert judge.alarm
    for window in tomorrow.windows(180):
        since.add(judge.judge(window, window.end).alarm_since)
    assert not judge.alarm
    assert len(since - {None}) == 1


@pytest.mark.parametrize("change", [{"feature": 0, "shift": 2.0}, {"classes": (2, 2, 0)}])
def test_a_drift_that_lasts_is_one_alarm_also_after_hours_without_windows(day_reference, tomorrow, change):
    judge = DriftJudge(day_reference)
    until_alarm(judge, tomorrow.windows(60))
    until_alarm(judge, tomorrow.windows(240, **change))
    began = judge.alarm_since
    assert began is not None
    for windows in (30, 60):
        for window in tomorrow.windows(windows, **change):
            assert judge.judge(window, window.end).alarm_since == began
        tomorrow.now += 9 * 3600.0
    for window in tomorrow.windows(180):
        judge.judge(window, window.end)
    assert not judge.alarm


def test_scripts_that_know_the_judge_by_its_former_name_run_and_name_what_they_found(day_reference, tomorrow):
    _, verdict = until_alarm(Judge(day_reference), tomorrow.windows(60, feature=0, shift=3.0))
    found = verdict.strongest(1)[0]
    assert (found.feature, found.aspect, found.ratio >= 1.0) == ("brightness", "location", True)


def test_small_changes_of_all_features_count_together(day_reference, camera):
    source = camera(12, day_reference.origin.end)
    judge = DriftJudge(day_reference, 30.0)
    assert until_alarm(judge, source.windows(60)) is None
    _, verdict = until_alarm(judge, source.windows(600, feature=slice(None), shift=0.75))
    assert verdict.joint_ratio >= 1.0
    assert not any(each.over for each in verdict.features)
    assert sum(each.ratio >= 0.6 for each in verdict.features) >= 2


@pytest.mark.parametrize("shift", [2.0, 3.0, 5.0])
def test_one_odd_minute_is_no_drift(day_reference, tomorrow, shift):
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, tomorrow.windows(60)) is None
    assert until_alarm(judge, tomorrow.windows(1, feature=slice(None), shift=shift)) is None
    assert until_alarm(judge, tomorrow.windows(60)) is None


def test_another_class_mix_is_drift_of_the_mix(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, tomorrow.windows(60)) is None
    _, verdict = until_alarm(judge, tomorrow.windows(240, classes=(2, 2, 0)))
    assert verdict.classes.ratio >= 1.0
    assert verdict.classes.psi > verdict.classes.psi_limit


def test_a_class_never_seen_before_is_drift_of_the_mix(day_reference, tomorrow):
    assert until_alarm(DriftJudge(day_reference), tomorrow.windows(60, classes=(55,))) is not None


def test_two_judges_restored_midway_say_exactly_the_same(day_reference, tomorrow):
    straight, resumed = DriftJudge(day_reference), DriftJudge(day_reference)
    for number, window in enumerate(
        [*tomorrow.windows(40), *tomorrow.windows(60, shift=2.0), *tomorrow.windows(60)]
    ):
        assert straight.judge(window, window.end) == resumed.judge(window, window.end)
        if number % 13 == 0:
            state = json.loads(json.dumps(resumed.state()))
            resumed = DriftJudge(day_reference)
            resumed.restore(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(reference="another"),
        lambda state: state.pop("memory"),
        lambda state: state.update(memory="AAAA"),
        lambda state: state.update(alarm=None),
        lambda state: state.update(last_end="now"),
        lambda state: state.update(knots="AAAA"),
        lambda state: state["alarm"].update(place=99),
        lambda state: state["alarm"].update(since="yesterday"),
    ],
)
def test_a_damaged_state_is_refused_and_the_judge_goes_on(day_reference, tomorrow, change):
    judge = DriftJudge(day_reference)
    windows = list(tomorrow.windows(3))
    judge.judge(windows[0], windows[0].end)
    before = judge.state()
    broken = json.loads(json.dumps(before))
    change(broken)
    with pytest.raises(ReferenceMismatch):
        judge.restore(broken)
    assert judge.state() == before
    judge.judge(windows[1], windows[1].end)


def test_windows_of_other_features_are_refused(day_reference, tomorrow):
    window = next(iter(tomorrow.windows(1)))
    with pytest.raises(ReferenceMismatch, match="record a new one"):
        DriftJudge(day_reference).judge(replace(window, feature_version="2"), window.end)
    with pytest.raises(ReferenceMismatch, match="record a new one"):
        DriftJudge(day_reference).judge(
            replace(window, features=NAMES[:4], sketches=window.sketches[:4]), window.end
        )


def test_windows_with_hardly_any_frames_are_not_judged_and_change_nothing(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    windows = list(tomorrow.windows(10))
    for window in windows:
        judge.judge(window, window.end)
    before = judge.state()
    empty = Window("front", NAMES, "1").close(tomorrow.now, tomorrow.now + 60.0)
    verdict = judge.judge(empty, empty.end)
    assert not verdict.judged
    assert "0 usable frames in the window, normally 30" in verdict.reason
    assert judge.state() == before


def test_a_clock_before_the_references_making_is_not_believed(day_reference, camera):
    window = next(iter(camera(9, 0.0).windows(1)))
    verdict = DriftJudge(day_reference).judge(window, window.end)
    assert not verdict.judged
    assert "clock" in verdict.reason


def test_an_hour_that_was_never_recorded_is_not_judged(short_reference, camera):
    noon = short_reference.origin.start + 12 * 3600.0
    verdict = DriftJudge(short_reference).judge(next(iter(camera(9, noon).windows(1))), noon + 60.0)
    assert not verdict.judged
    assert "hour of the day" in verdict.reason


def test_on_a_kind_of_day_that_was_not_recorded_only_large_changes_are_judged(day_reference, camera):
    saturday = camera(7, day_reference.origin.start + 5 * 86400.0 + 6 * 3600.0)
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, saturday.windows(400, feature=slice(None), shift=0.7)) is None
    verdict = judge.judge(next(iter(saturday.windows(1))), saturday.now)
    assert verdict.provisional
    assert verdict.reason.startswith("the reference saw no weekend at this hour, ")
    assert verdict.reason.endswith("only large changes are judged until it holds two")
    assert until_alarm(judge, saturday.windows(60, feature=slice(None), shift=8.0)) is not None


def test_an_excursion_that_the_reference_had_is_no_alarm_unless_it_lasts(day_reference, tomorrow, camera):
    judge = DriftJudge(day_reference)
    until_alarm(judge, tomorrow.windows(60))
    until_alarm(judge, tomorrow.windows(60, feature=0, shift=3.0))
    usual = day_reference.calibration.refinement.units
    shown = Excursions(directions=(judge._remembered.memory[..., 3] / usual)[None], spans=np.array([20.0]))
    knowing = replace(day_reference, calibration=replace(day_reference.calibration, excursions=shown))
    judge, again = DriftJudge(knowing), camera(78, tomorrow.now)
    until_alarm(judge, again.windows(60))
    verdicts = [judge.judge(each, each.end) for each in again.windows(30, feature=0, shift=3.0)]
    assert any(each.familiar for each in verdicts)
    assert not any(each.alarm or each.ratio >= 1.0 for each in verdicts)
    assert until_alarm(judge, again.windows(30, feature=0, shift=3.0)) is not None


def test_what_came_and_went_on_two_days_is_no_alarm_on_the_third_unless_it_lasts(day_reference, tomorrow):
    judge, seen = DriftJudge(day_reference), []
    for minutes in (20, 20, 20, 90):
        until_alarm(judge, tomorrow.windows(60))
        verdicts = [judge.judge(each, each.end) for each in tomorrow.windows(minutes, feature=0, shift=3.0)]
        seen.append([each.alarm for each in verdicts])
        for window in tomorrow.windows(90):  # it has gone
            judge.judge(window, window.end)
        assert not judge.alarm
        tomorrow.now += 20 * 3600.0
        kept, judge = judge.state(), DriftJudge(day_reference)
        judge.restore(json.loads(json.dumps(kept)))  # and a restart is no news
    first, second, third, fourth = seen
    assert any(first)
    assert any(second)
    assert not any(third)
    assert not any(fourth[:20])
    assert fourth[-1]


@pytest.mark.parametrize("change", [{"classes": (2, 2, 0)}, {"classes": (0, 0, 0, 2)}])
def test_another_class_mix_that_comes_and_goes_is_an_alarm_that_ends(day_reference, tomorrow, change):
    judge = DriftJudge(day_reference)
    until_alarm(judge, tomorrow.windows(60))
    shown = [judge.judge(each, each.end).alarm for each in tomorrow.windows(90, **change)]
    assert shown[-1]
    kept, judge = judge.state(), DriftJudge(day_reference)
    judge.restore(json.loads(json.dumps(kept)))
    shown = [judge.judge(each, each.end).alarm for each in tomorrow.windows(120)]
    assert not shown[-1]


def test_a_provisional_reference_says_so(short_reference, camera):
    source = camera(9, short_reference.origin.end)
    verdict = DriftJudge(short_reference).judge(next(iter(source.windows(1))), source.now)
    assert verdict.provisional
    assert "covers 2.0 h" in verdict.reason


def test_a_reference_of_images_sees_a_blurred_camera_at_any_hour(camera):
    source = camera(10)
    rows = source.rows(3000)
    reference = from_images(
        rows,
        {0: 3000},
        camera="front",
        features=NAMES,
        model_sha256="0",
        feature_version="1",
        window_seconds=60.0,
        window_frames=30.0,
        now=source.now,
    )
    judge = DriftJudge(reference)
    assert until_alarm(judge, source.windows(300, classes=(0,))) is None
    number, verdict = until_alarm(judge, source.windows(300, classes=(0,), feature=1, shift=-3.0))
    assert number <= 90
    assert strongest(verdict) == "sharpness"
    assert verdict.provisional
    assert "made from images" in verdict.reason


@pytest.mark.parametrize("jump", [-7200.0, -60.0, 0.0, 45.0, 3 * 3600.0, 40 * 86400.0])
def test_no_false_alarm_when_the_clock_jumps(day_reference, camera, jump):
    source = camera(11, day_reference.origin.end + 3 * 3600.0)
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, source.windows(60)) is None
    source.now += jump
    assert until_alarm(judge, source.windows(60)) is None


def test_no_false_alarm_from_values_that_are_no_numbers(day_reference, tomorrow):
    judge = DriftJudge(day_reference)
    assert until_alarm(judge, tomorrow.windows(60)) is None
    collector = Window("front", NAMES, "1", interval=2.0)
    for wrong in (np.nan, np.inf, -np.inf):
        for number in range(60):
            rows = tomorrow.rows(30)
            rows[:: 1 + number % 3] = wrong
            seen = [(0, 0, 2)[i % 3] for i in range(60)]
            collector.extend(rows, seen, at=tomorrow.now + 2.0 * np.arange(30))
            verdict = judge.judge(collector.close(tomorrow.now, tomorrow.now + 60.0), tomorrow.now + 60.0)
            tomorrow.now += 60.0
            assert not verdict.alarm
            assert np.isfinite(verdict.ratio)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=5),
            st.floats(-1e6, 1e6),
            st.integers(0, 60),
        ),
        max_size=12,
    )
)
def test_whatever_comes_the_verdict_is_finite(day_reference, given_windows):
    judge = DriftJudge(day_reference)
    collector = Window("front", NAMES, "1", interval=2.0)
    now = day_reference.origin.end + 1e6
    for values, moved, frames in given_windows:
        rows = np.resize(np.array([*values, 1.0], np.float32), (frames, 5))
        collector.extend(rows, [0], at=np.arange(frames, dtype=np.float64))
        verdict = judge.judge(collector.close(now + moved, now + moved + 60.0), now)
        assert np.isfinite([verdict.ratio, verdict.joint, verdict.joint_limit]).all()
        assert verdict.ratio >= 0
        for each in verdict.features:
            assert np.isfinite([each.score, each.limit, each.ratio, each.shift]).all()
            assert np.isfinite(list(each.distances.values())).all()
    json.dumps(judge.state(), allow_nan=False)


def test_a_smaller_budget_judges_more_strictly(day_reference, tomorrow):
    windows = list(tomorrow.windows(30, shift=0.7))
    ratios = []
    for budget in (0.01, 1.0, 100.0):
        judge = DriftJudge(day_reference, budget)
        ratios.append([judge.judge(window, window.end).ratio for window in windows])
    assert (np.diff(ratios, axis=0) >= 0).all()
    judge = DriftJudge(day_reference)
    judge.set_budget(100.0)
    assert [judge.judge(window, window.end).ratio for window in windows] == ratios[2]


def test_limits_that_alarms_have_raised_see_a_small_change_later_and_say_so(day_reference, tomorrow):
    usual, patient = DriftJudge(day_reference), DriftJudge(day_reference)
    patient.restore({**patient.state(), "patience": {"raised": np.log(1.5), "peak": 0.0}})
    for window in tomorrow.windows(300, shift=1.5):
        before, after = usual.judge(window, window.end), patient.judge(window, window.end)
        if usual.alarm:
            break
        assert after.raised == pytest.approx(1.5, rel=0.02)
        assert after.ratio == pytest.approx(before.ratio / after.raised)
    assert usual.alarm and not patient.alarm and after.ratio < 1.0
    assert until_alarm(patient, tomorrow.windows(30, shift=6.0)) is not None
