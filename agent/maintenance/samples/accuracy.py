"""Accuracy in use: the model's boxes against the labels of samples drawn at random. Pure.

A box is right where a label of its class overlaps it by half and no better box took that label. The intervals come from
a bootstrap over frames (Efron and Tibshirani, 1993): frames are drawn again with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.maintenance.evaluation.bootstrap import FEWEST_IMAGES, Interval, interval
from agent.maintenance.evaluation.matching import Boxes, Matching
from agent.maintenance.samples.sample import Box, Sample

DRAWS = 2000

Counts = NDArray[np.int64]
"""(frames, 3): boxes that are right, boxes that are wrong, labels that no box found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Of `frames` with `labels`; a figure is NaN where nothing is there to measure it by.

    The intervals hold the figure in 95 of 100 draws; None with fewer than 20 frames.
    """

    frames: int
    labels: int
    precision: float
    recall: float
    f1: float
    precision_interval: Interval | None
    recall_interval: Interval | None
    f1_interval: Interval | None


def counts_of(samples: Sequence[Sample], class_id: int | None = None) -> Counts:
    """The counts of each labelled sample, of one class or all."""
    rows = np.zeros((len(samples), 3), dtype=np.int64)
    for row, sample in zip(rows, samples, strict=True):
        found, labels = (_boxes(boxes or (), sample) for boxes in (sample.found, sample.labels))
        right = Matching(found, labels).right()[:, 0]
        ours = np.ones(len(right), dtype=bool) if class_id is None else found.classes == class_id
        wanted = len(labels.classes) if class_id is None else int((labels.classes == class_id).sum())
        hits = int(right[ours].sum())
        row[:] = hits, int(ours.sum()) - hits, wanted - hits
    return rows


def accuracy(counts: Counts, *, seed: int = 0) -> Accuracy:
    """The figures of frames with `counts`."""
    precision, recall, f1 = _figures(counts.sum(axis=0)[None])
    intervals: list[Interval | None] = [None, None, None]
    if len(counts) >= FEWEST_IMAGES:
        random = np.random.default_rng(seed)
        weights = random.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
        intervals = [_interval(values) for values in _figures(weights @ counts)]
    return Accuracy(
        frames=len(counts),
        labels=int(counts[:, 0].sum() + counts[:, 2].sum()),
        precision=float(precision[0]),
        recall=float(recall[0]),
        f1=float(f1[0]),
        precision_interval=intervals[0],
        recall_interval=intervals[1],
        f1_interval=intervals[2],
    )


def f1_of_frames(counts: Counts) -> NDArray[np.float64]:
    """F1 of each frame by its counts (n, 3), (n,); 1 where nothing is there and nothing was found."""
    right, wrong, missed = counts.astype(np.float64).T
    boxes = 2 * right + wrong + missed
    return np.asarray(np.where(boxes > 0, 2 * right / np.maximum(boxes, 1.0), 1.0), dtype=np.float64)


def _figures(sums: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1, (n,) each, of (n, 3) sums."""
    right, wrong, missed = sums.astype(np.float64).T
    with np.errstate(invalid="ignore"):
        return right / (right + wrong), right / (right + missed), 2 * right / (2 * right + wrong + missed)


def _interval(values: NDArray[np.float64]) -> Interval | None:
    known = values[~np.isnan(values)]
    return interval(known) if len(known) else None


def _boxes(boxes: Sequence[Box], sample: Sample) -> Boxes:
    ordered = sorted(boxes, key=lambda box: -box.score)
    size = np.array([sample.width, sample.height] * 2, dtype=np.float32)
    corners = [
        (box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2)
        for box in ordered
    ]
    array = np.array(corners, dtype=np.float32).reshape(-1, 4) * size
    classes = np.array([box.class_id for box in ordered], dtype=np.int64)
    areas = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
    return Boxes(boxes=array, classes=classes, areas=areas)
