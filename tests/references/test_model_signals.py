"""The estimate of how right the model still is: a drawn model that loses boxes, doubts and disagrees as it is disturbed."""

import dataclasses

import numpy as np
import pytest

from agent.core.types import Detections
from agent.drift.diagnosis.accuracy import AccuracyModel
from agent.references.accuracy_estimator import estimated
from agent.references.model_signals import Seen, TrialBook, UsualBoxes, f1_of, signals_of, turned_back

CAUSES = ("fog", "dirt", "noise", "defocus", "low_light", "cover")


def detections(boxes, scores):
    scores = np.asarray(scores, np.float32)
    return Detections(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4), scores=scores, model="m",
        class_ids=np.zeros(len(scores), np.int64), threshold=0.25, candidates=3 * len(scores),
    )  # fmt: skip


class Street:
    """Frames of up to `most` cars, and a model that finds each with less and less luck under a disturbance."""

    def __init__(self, seed, most=6):
        self.random = np.random.default_rng(seed)
        self.most = most

    def frames(self, number):
        """Cars (n, 4) of each frame."""
        return [self._cars() for _ in range(number)]

    def _cars(self):
        corners = 60.0 * np.arange(self.random.integers(1, self.most + 1))
        return np.stack([corners, corners, corners + 40, corners + 30], axis=1)

    def seen(self, frames, hurt, luck=0.0):
        """What the model finds at `hurt` 0..1, plain and mirrored; `luck` is by how much a cause hurts less."""
        return [
            Seen(plain=self._found(cars, hurt - luck), mirrored=self._found(cars, hurt - luck))
            for cars in frames
        ]

    def _found(self, cars, hurt):
        score = np.clip(0.9 - 0.6 * max(hurt, 0.0) + 0.05 * self.random.standard_normal(len(cars)), 0.05, 1)
        kept = score > 0.25 + 0.45 * max(hurt, 0.0) * self.random.random(len(cars))
        return detections(cars[kept], score[kept])


def learnt(street, frames=8):
    cars = street.frames(frames)
    clean = street.seen(cars, 0.0)
    book = TrialBook(clean)
    for number, cause in enumerate(CAUSES):
        for severity in (0.2, 0.5, 1.0):
            book.add(cause, street.seen(cars, severity, luck=0.05 * number))
    return AccuracyModel(book.result())


def now(street, model, hurt, frames=6):
    """The truth, and the estimate by frames of now against calm ones."""
    cars = street.frames(frames)
    calm, clean, seen = (
        street.seen(street.frames(frames), 0.0),
        street.seen(cars, 0.0),
        street.seen(cars, hurt),
    )
    truth = f1_of([each.plain for each in clean], [each.plain for each in seen])
    return truth, estimated(model, seen, [calm])


def test_the_estimate_follows_what_is_lost_and_its_band_holds_the_truth():
    street = Street(3)
    model = learnt(street)
    found = [now(street, model, hurt) for hurt in np.tile(np.linspace(0, 1, 15), 6)]
    truth = np.array([each for each, _ in found])
    ratio, low, high = (
        np.array([getattr(each, name) for _, each in found]) for name in ("ratio", "low", "high")
    )
    assert np.sqrt(np.mean((truth - ratio) ** 2)) < 0.6 * truth.std()
    assert np.mean((low <= truth) & (truth <= high)) >= 0.9
    assert np.mean(high - low) < 0.75


def test_nothing_changed_is_all_right():
    street = Street(4)
    estimate = now(street, learnt(street), 0.0, frames=12)[1]
    assert estimate.ratio > 0.9
    assert estimate.high == 1.0


def test_a_scene_with_other_objects_is_measured_by_its_own_calm():
    """Few cars now, where there were many: by themselves the signals would look like a loss."""
    model, few = learnt(Street(5, most=8)), Street(6, most=2)
    assert now(few, model, 0.0, frames=20)[1].ratio > 0.85


def test_trust_is_less_where_little_is_known():
    street = Street(7)
    model = learnt(street)
    _, known = now(street, model, 0.3)
    signals, base = model.trials.base, model.trials.base
    assert model.estimate(signals, base, 60.0).trust > model.estimate(signals, base, 4.0).trust
    assert model.estimate(signals, None, 60.0).trust == model.estimate(signals, base, 60.0).trust / 2
    far = model.estimate(signals + 5.0, base, 60.0)
    assert far.high - far.low > known.high - known.low
    for one in (known, far):
        assert 0.0 <= one.low <= one.ratio <= one.high <= 1.0
        assert 0.0 <= one.trust <= 1.0


def test_nothing_is_fitted_to_too_little():
    street = Street(8)
    book = TrialBook(street.seen(street.frames(8), 0.0))
    with pytest.raises(ValueError, match="too few"):
        AccuracyModel(book.result())
    whole = learnt(street).trials
    with pytest.raises(ValueError, match="too few"):
        AccuracyModel(dataclasses.replace(whole, classes={0: 2}))


def test_frames_without_any_box_have_signals_and_no_f1():
    nothing = detections([], [])
    assert np.isnan(f1_of([nothing], [nothing]))
    unseen = Seen(plain=nothing, mirrored=nothing)
    for classes in ({0: 3}, {}):
        assert np.isfinite(signals_of([unseen], UsualBoxes(boxes=2.0, classes=classes))).all()


def as_kites(seen):
    """The same boxes, as surely found, and on the mirror image alike: of another class."""
    return [
        Seen(
            **{
                name: dataclasses.replace(found, class_ids=found.class_ids + 33)
                for name, found in (("plain", each.plain), ("mirrored", each.mirrored))
            }
        )
        for each in seen
    ]


def test_other_objects_that_are_surely_found_are_not_taken_for_those_that_were_there():
    """A burnt-out picture of bottles: kites, each as sure as a bottle, and the same in the mirror image."""
    street = Street(9)
    model, calm = learnt(street), street.seen(street.frames(12), 0.0)
    cars = street.seen(street.frames(12), 0.0)
    right, kites = (estimated(model, seen, [calm]) for seen in (cars, as_kites(cars)))
    assert right.ratio > 0.9
    assert kites.ratio < 0.4
    assert kites.high < right.ratio


def test_classes_that_are_usual_at_this_hour_are_known_by_the_calm_looks():
    street = Street(10)
    model, cars = learnt(street), street.seen(street.frames(12), 0.0)
    mixed = [*cars[:6], *as_kites(cars[6:])]
    assert estimated(model, mixed, [mixed]).ratio > 0.9


def test_boxes_of_a_mirror_image_are_turned_back():
    assert turned_back(detections([[10, 5, 30, 20]], [0.9]), 100).boxes.tolist() == [[70, 5, 90, 20]]
