"""Figures of outcomes whose figures are plain, and how sure they are."""

import numpy as np
import pytest

from agent.maintenance.evaluation.bootstrap import draw, interval
from agent.maintenance.evaluation.scores import Outcome, at_confidence, average_precisions, score


def outcome(scores, right, *, labels, images=None, classes=None, label_images=None):
    count = len(scores)
    order = np.argsort(-np.array(scores), kind="stable")
    hits = np.repeat(np.array(right, bool)[order, None], 10, axis=1)
    return Outcome(
        scores=np.array(scores, float)[order],
        classes=np.zeros(count, np.int64) if classes is None else np.array(classes, np.int64)[order],
        images=np.zeros(count, np.int64) if images is None else np.array(images, np.int64)[order],
        right=hits,
        counts=np.ones((count, 10), bool),
        label_classes=np.zeros(labels, np.int64),
        label_images=np.zeros(labels, np.int64) if label_images is None else np.array(label_images, np.int64),
    )


def test_a_detector_that_finds_all_has_one_everywhere():
    mean = score(outcome([0.9, 0.8], [True, True], labels=2)).mean()
    assert mean == pytest.approx(dict.fromkeys(mean, 1.0), abs=0.01)


def test_a_detector_that_finds_nothing_has_nothing():
    mean = score(outcome([], [], labels=2)).mean()
    assert mean == dict.fromkeys(mean, 0.0)
    assert set(score(outcome([0.9], [False], labels=0)).mean().values()) == {0.0}


def test_half_of_the_labels_is_half_of_the_area():
    value = average_precisions(np.ones((2, 10), bool), np.ones((2, 10), bool), 4)
    assert value == pytest.approx(np.full(10, 0.495), abs=0.001)  # at 101 recalls, 51 of them reached


def test_weights_count_as_copies():
    random = np.random.default_rng(1)
    right, weights = random.random((40, 10)) < 0.6, random.integers(0, 4, 40)
    weighted = average_precisions(right, np.ones((40, 10), bool), 90.0, weights.astype(float))
    copies = np.repeat(right, weights, axis=0)
    copied = average_precisions(copies, np.ones(copies.shape, bool), 90.0)
    assert weighted == pytest.approx(copied, abs=0.02)  # copies of one score stand at one place of the curve


def test_what_the_agent_would_find_at_its_confidence():
    figures = at_confidence(outcome([0.9, 0.6, 0.2], [True, False, True], labels=2), 0.5)
    assert figures == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert at_confidence(outcome([], [], labels=0), 0.5) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def models(images, shares):
    """Outcomes of detectors that find `shares` of the one label in each image, of the same hard images."""
    hard = np.random.default_rng(3).random(images)
    return [
        outcome(
            np.full(images, 0.9),
            hard < share,
            labels=images,
            images=range(images),
            label_images=range(images),
        )
        for share in shares
    ]


def test_a_better_model_is_seen_and_two_equal_ones_are_not_apart():
    better, worse, same = draw(models(200, (0.8, 0.6, 0.6)), 200, draws=200)
    assert interval(better.map50 - worse.map50).low > 0.05
    assert interval(worse.map50 - same.map50).low == interval(worse.map50 - same.map50).high == 0


def test_fewer_images_say_less():
    wide, narrow = (
        interval(draw(models(images, (0.7,)), images, draws=200)[0].map50) for images in (30, 3000)
    )
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_models_that_are_equally_good_are_seldom_told_apart():
    apart = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        pair = [
            outcome(
                random.random(80),
                random.random(80) < 0.7,
                labels=80,
                images=range(80),
                label_images=range(80),
            )
            for _ in range(2)
        ]
        first, second = draw(pair, 80, draws=60, seed=seed)
        sure = interval(first.map50 - second.map50)
        apart += not sure.low <= 0 <= sure.high
    assert apart <= 6  # 2 of 40 are expected
