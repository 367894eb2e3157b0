import dataclasses
import math

import pytest

from agent.maintenance.samples.accuracy import accuracy, counts_of
from tests.maintenance.samples.conftest import box, sample


def labelled(found, labels):
    return dataclasses.replace(sample(boxes=found), labels=tuple(labels))


def test_boxes_are_right_wrong_or_missed():
    one = labelled(
        [box(0.2, score=0.9), box(0.21, score=0.5), box(0.8, class_id=1)],
        [box(0.2, score=1.0), box(0.5, score=1.0), box(0.8, class_id=0, score=1.0)],
    )
    assert counts_of([one]).tolist() == [[1, 2, 2]], (
        "the second box on one object is wrong, and so is another class"
    )
    assert counts_of([one], 0).tolist() == [[1, 1, 2]]
    assert counts_of([one], 1).tolist() == [[0, 1, 0]]
    figures = accuracy(counts_of([one]))
    assert (figures.precision, figures.recall) == pytest.approx((1 / 3, 1 / 3))
    assert figures.f1_interval is None, "one frame tells nothing about others"


def test_empty_frames_count_only_what_is_wrong():
    assert counts_of([labelled([], []), labelled([box()], [])]).tolist() == [[0, 0, 0], [0, 1, 0]]
    figures = accuracy(counts_of([labelled([], [])]))
    assert math.isnan(figures.precision) and math.isnan(figures.recall) and math.isnan(figures.f1)


def test_the_interval_holds_the_truth_and_narrows_with_more_frames():
    def frames(number):
        return [labelled([box()] if n % 4 else [], [box(score=1.0)]) for n in range(number)]

    few, many = (accuracy(counts_of(frames(number))) for number in (20, 400))
    for figures in (few, many):
        assert figures.recall == pytest.approx(0.75)
        assert figures.recall_interval.low < 0.75 < figures.recall_interval.high
        assert figures.precision_interval.low == figures.precision_interval.high == 1.0
    width = [each.recall_interval.high - each.recall_interval.low for each in (few, many)]
    assert width[1] == pytest.approx(width[0] / math.sqrt(20), rel=0.2)
