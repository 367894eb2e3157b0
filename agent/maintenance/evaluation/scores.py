"""Precision, recall, F1 and average precision of matched boxes.

As Ultralytics 8.4 computes them (`utils/metrics.py: ap_per_class, compute_ap`): the area below the envelope of
precision over recall, at 101 recalls (COCO); precision, recall and F1 at the confidence that has the best F1 in the
mean of all classes. `weights` counts an image several times or not at all: for a bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.maintenance.evaluation.matching import THRESHOLDS

_RECALLS: NDArray[np.float64] = np.linspace(0, 1, 101)
_CONFIDENCES: NDArray[np.float64] = np.linspace(0, 1, 1000)
_SMOOTHED = 0.1  # share of the confidences over which F1 is averaged before its best is looked for
_TINY = 1e-16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """All boxes found in all images, by falling score, and all labels.

    `scores` (n,), `classes` (n,), `images` (n,) the number of each one's image, `right` (n, 10) at each threshold,
    `counts` (n, 10) whether it counts at all, `label_classes` (m,), `label_images` (m,).
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    label_classes: NDArray[np.int64]
    label_images: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassScores:
    """One array an entry for each class that has labels, in the order of `classes`; `confidence` is where
    precision, recall and F1 are read."""

    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    ap50: NDArray[np.float64]
    ap: NDArray[np.float64]
    confidence: float

    def mean(self) -> dict[str, float]:
        """The means over classes; 0 where no class has labels."""
        named = {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "map50": self.ap50,
            "map50_95": self.ap,
        }
        return {name: float(values.mean()) if len(values) else 0.0 for name, values in named.items()}


def score(outcome: Outcome) -> ClassScores:
    """The scores of an outcome."""
    classes, labels = np.unique(outcome.label_classes, return_counts=True)
    precision, recall = (np.zeros((len(classes), len(_CONFIDENCES))) for _ in range(2))
    aps = np.zeros((len(classes), len(THRESHOLDS)))
    for row, class_id in enumerate(classes):
        chosen = outcome.classes == class_id
        right, counts = outcome.right[chosen], outcome.counts[chosen]
        aps[row] = average_precisions(right, counts, float(labels[row]))
        first = counts[:, 0]
        if first.any():
            recalls, precisions = _curve(right[first, 0], float(labels[row]))
            falling = -outcome.scores[chosen][first]
            recall[row] = np.interp(-_CONFIDENCES, falling, recalls, left=0)
            precision[row] = np.interp(-_CONFIDENCES, falling, precisions, left=1)
    f1 = 2 * precision * recall / (precision + recall + _TINY)
    best = int(_smooth(f1.mean(axis=0)).argmax()) if len(classes) else 0
    return ClassScores(
        classes=classes,
        labels=labels,
        precision=precision[:, best],
        recall=recall[:, best],
        f1=f1[:, best],
        ap50=aps[:, 0],
        ap=aps.mean(axis=1),
        confidence=float(_CONFIDENCES[best]),
    )


def average_precisions(
    right: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    labels: float,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(10,) the average precision of one class at each threshold, of (n, 10) boxes by falling score."""
    if weights is not None:
        drawn = weights > 0
        right, counts, weights = right[drawn], counts[drawn], weights[drawn]
    if labels <= 0 or not len(right):
        return np.zeros(len(THRESHOLDS))
    # A row for each threshold: one pass over all of them, since a bootstrap comes here a thousand times a class.
    weight = np.ascontiguousarray(counts.T, dtype=np.float64)
    if weights is not None:
        weight *= weights
    found = np.cumsum(weight, axis=1)
    hits = np.cumsum(weight * right.T, axis=1)
    recall = np.zeros((len(THRESHOLDS), len(right) + 3))
    recall[:, 1:-2] = hits / (labels + _TINY)
    recall[:, -2], recall[:, -1] = recall[:, -3], 1.0
    envelope = np.ones_like(recall)
    np.divide(hits, found, out=envelope[:, 1:-2], where=found > 0)
    envelope[:, -2:] = 0.0
    envelope = np.maximum.accumulate(envelope[:, ::-1], axis=1)[:, ::-1]
    heights = np.stack([np.interp(_RECALLS, *curve) for curve in zip(recall, envelope, strict=True)])
    return np.asarray((heights[:, 1:] + heights[:, :-1]).sum(axis=1) / 2 / (len(_RECALLS) - 1))


def at_confidence(outcome: Outcome, confidence: float) -> dict[str, float]:
    """Precision, recall and F1 over all classes together, of boxes of at least that confidence, at IoU 0.5."""
    chosen = (outcome.scores >= confidence) & outcome.counts[:, 0]
    found, right, labels = int(chosen.sum()), int(outcome.right[chosen, 0].sum()), len(outcome.label_classes)
    return {
        "precision": right / found if found else 0.0,
        "recall": right / labels if labels else 0.0,
        "f1": 2 * right / (found + labels) if found + labels else 0.0,
    }


def never_found(outcome: Outcome, confidence: float) -> list[int]:
    """The classes that have labels, and not one right box of at least that confidence, at IoU 0.5.

    A class that a short training added may rank right, and count in the mAP, with scores that no threshold lets pass.
    """
    right = (outcome.scores >= confidence) & outcome.counts[:, 0] & outcome.right[:, 0]
    return sorted({*outcome.label_classes.tolist()} - {*outcome.classes[right].tolist()})


def found_of(outcome: Outcome, number: int, confidence: float) -> int:
    """How many right boxes of a class there are of at least that confidence, at IoU 0.5."""
    chosen = (outcome.scores >= confidence) & outcome.counts[:, 0] & (outcome.classes == number)
    return int(outcome.right[chosen, 0].sum())


def _curve(right: NDArray[np.bool_], labels: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision after each box."""
    hits = np.cumsum(right, dtype=np.float64)
    return hits / (labels + _TINY), hits / np.arange(1, len(right) + 1)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A moving mean over `_SMOOTHED` of the values, the ends repeated."""
    width = round(len(values) * _SMOOTHED * 2) // 2 + 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
