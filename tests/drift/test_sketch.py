import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.sketch import Window, WindowSketch, merge

NAMES = ("brightness", "boxes")


def window(values, *, start=0.0, camera="front", classes=()) -> WindowSketch:
    collector = Window(camera, NAMES, "1", interval=1.0)
    rows = np.column_stack([np.asarray(values, np.float32), np.arange(len(values), dtype=np.float32)])
    collector.extend(rows, classes, at=start + np.arange(len(values)))
    return collector.close(start, start + 60.0)


values = st.lists(st.floats(-1e6, 1e6, width=32), max_size=150)


def alike(first: WindowSketch, second: WindowSketch) -> None:
    assert (first.start, first.end, first.frames, first.classes) == (
        second.start,
        second.end,
        second.frames,
        second.classes,
    )
    assert first.counts.tolist() == second.counts.tolist()
    assert first.steps == pytest.approx(second.steps, nan_ok=True, rel=1e-3)
    for one, other in zip(first.sketches, second.sketches, strict=True):
        if one.count:
            points = np.concatenate(
                [one.quantiles(np.linspace(0, 1, 9)), other.quantiles(np.linspace(0, 1, 9))]
            )
            assert np.abs(one.cdf(points) - other.cdf(points)).max() <= 0.05
            assert (one.minimum, one.maximum) == (other.minimum, other.maximum)


@settings(max_examples=40, deadline=None)
@given(values, values, values)
def test_merging_is_associative_and_commutative_within_the_sketches_error(a, b, c):
    first, second, third = (
        window(a, classes=[1]),
        window(b, start=60.0, classes=[1, 2]),
        window(c, start=120.0),
    )
    alike(merge(merge(first, second), third), merge(first, merge(second, third)))
    alike(merge(first, second), merge(second, first))


def test_merging_changes_neither_side():
    first, second = window([1, 2, 3]), window([4, 5], start=60.0)
    merge(first, second)
    assert first.counts.tolist() == [3, 3]
    assert second.counts.tolist() == [2, 2]


def test_windows_of_two_cameras_become_one_of_several():
    assert merge(window([1]), window([2], camera="back")).camera == "several"


def test_windows_of_other_features_are_not_merged():
    other = Window("front", ("blur",), "1").close(0.0, 60.0)
    with pytest.raises(ValueError, match="different features"):
        merge(window([1]), other)


def test_steps_are_means_and_not_taken_across_a_gap():
    collector = Window("front", ("brightness",), "1", interval=1.0)
    for at, value in ((0.0, 1.0), (1.0, 3.0), (9.0, 100.0), (10.0, 101.0)):
        collector.add(np.array([value], np.float32), at=at)
    closed = collector.close(0.0, 60.0)
    assert closed.steps.tolist() == [1.5]
    assert closed.pairs.tolist() == [2]


def test_what_is_undefined_is_counted_as_missing_not_as_a_value():
    closed = window([1.0, np.nan, np.inf, 2.0])
    assert closed.counts.tolist() == [2, 4]
    assert np.isnan(closed.steps[0])  # no two defined values follow each other


def test_a_window_without_frames_is_empty_and_no_error():
    closed = window([])
    assert closed.frames == 0
    assert np.isnan(closed.steps).all()


def test_the_collector_begins_anew():
    collector = Window("front", NAMES, "1")
    for _ in range(600):
        collector.add(np.array([1.0, 2.0], np.float32), [3], at=0.0)
    assert len(collector) == 600
    assert collector.close(0.0, 60.0).classes == {3: 600}
    assert collector.close(60.0, 120.0).frames == 0


@settings(max_examples=25, deadline=None)
@given(values)
def test_a_window_survives_the_wire(numbers):
    sent = window(numbers, classes=[0, 0, 7])
    alike(sent, WindowSketch.from_body(json.loads(json.dumps(sent.to_body(items=200)))))


def test_times_may_be_text():
    body = window([1, 2]).to_body() | {"start": "2026-11-24T00:00:00Z", "end": "2026-11-24T00:01:00Z"}
    assert WindowSketch.from_body(body).seconds == 60.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": None},
        {"frames_sampled": "many"},
        {"brightness_kll": "????"},
        {"brightness_kll": "AAAA"},
        {"brightness_kll": 7},
        {"boxes_step_mean": "no"},
    ],
)
def test_a_foreign_body_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        WindowSketch.from_body(window([1, 2]).to_body() | wrong)


def test_a_body_without_sketches_is_refused():
    body = {name: value for name, value in window([1]).to_body().items() if not name.endswith("_kll")}
    with pytest.raises(ValueError, match="no sketch in it"):
        WindowSketch.from_body(body)
    with pytest.raises(ValueError, match="not a window"):
        WindowSketch.from_body({})
