"""Accuracy of a model on the labelled audit samples, run as the agent runs it, for each camera."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.config.schema import ModelSettings
from agent.core.image_file import read_image
from agent.core.types import Frame
from agent.core.untrusted import BadInput
from agent.detection.session import Detector
from agent.maintenance.evaluation.bootstrap import FEWEST_IMAGES, Interval
from agent.maintenance.evaluation.prediction_powered import Population, corrected
from agent.maintenance.samples.accuracy import Accuracy, accuracy, counts_of, f1_of_frames
from agent.maintenance.samples.formats.labelled import all_names, class_name
from agent.maintenance.samples.frames import boxes_of
from agent.maintenance.samples.sample import Box, Sample
from agent.maintenance.samples.store import StoredSample


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraAccuracy:
    """The figures of one camera, "" for all together; None where nothing is there to measure one by.

    `low` and `high` hold a figure in 95 of 100 draws of the frames; None with fewer than 20. `corrected` is the mean F1
    of a frame, estimated on all frames without labels and corrected by `corrected_frames` labelled ones that have such
    an estimate of their own.
    """

    camera: str
    frames: int
    labels: int
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None
    corrected_frames: int = 0


def accuracy_of(
    model: ModelSettings,
    kept: Sequence[StoredSample],
    classes: Mapping[str, Sequence[str]],
    estimates: Mapping[str, Population],
) -> list[CameraAccuracy]:
    """The figures of `model` on labelled samples, of all first; `estimates` are those on all frames of a camera.

    Raises ModelError where it cannot be opened.
    """
    samples = found_again(model, kept, classes)
    cameras = sorted({sample.camera for sample in samples})
    rows = [("", samples), *((one, [each for each in samples if each.camera == one]) for one in cameras)]
    return [_row(camera, of, estimates.get(camera)) for camera, of in rows]


def found_again(
    model: ModelSettings, kept: Sequence[StoredSample], classes: Mapping[str, Sequence[str]]
) -> list[Sample]:
    """The samples with what `model` finds in them, labels and boxes by one list of classes.

    Those whose image cannot be read are left out.
    """
    detector = Detector(replace(model, lanes=1))
    detector.open()
    try:
        names = tuple(dict.fromkeys((*all_names(kept, classes), *detector.info.classes)))
        numbers = {name: number for number, name in enumerate(names)}
        samples = []
        for one in kept:
            labels = tuple(
                replace(box, class_id=numbers[class_name(one.sample.model, box.class_id, classes)])
                for box in one.sample.labels or ()
            )
            found = _found(detector, one, numbers)
            if found is not None:
                ours = one.sample.model == detector.info.sha256
                estimate = one.sample.estimate if ours else None  # else it is of another model
                samples.append(replace(one.sample, found=found, labels=labels, estimate=estimate))
        return samples
    finally:
        detector.close()


def _found(detector: Detector, kept: StoredSample, numbers: Mapping[str, int]) -> tuple[Box, ...] | None:
    try:
        image = read_image(kept.image)
    except BadInput:
        return None
    frame = Frame(
        camera=kept.sample.camera, index=0, image=image, captured_at=kept.sample.captured_at, monotonic_ns=0
    )
    boxes = boxes_of(detector.detect([frame]).detections[0], image.shape[1], image.shape[0])
    named = ((box, detector.info.class_name(box.class_id)) for box in boxes)
    return tuple(replace(box, class_id=numbers.get(name, -1)) for box, name in named)


def _row(camera: str, samples: Sequence[Sample], estimates: Population | None) -> CameraAccuracy:
    of = accuracy(counts_of(samples))
    row = _plain(camera, of)
    if estimates is None:
        return row
    known = [each for each in samples if each.estimate is not None and each.captured_at >= estimates.since]
    if len(known) < FEWEST_IMAGES:
        return replace(row, corrected_frames=len(known))
    estimated = np.array([each.estimate for each in known], dtype=np.float64)
    found = corrected(f1_of_frames(counts_of(known)), estimated, estimates)
    return replace(
        row,
        corrected=round(found.ratio, 4),
        corrected_low=round(found.low, 4),
        corrected_high=round(found.high, 4),
        corrected_frames=len(known),
    )


def _plain(camera: str, of: Accuracy) -> CameraAccuracy:
    return CameraAccuracy(
        camera=camera,
        frames=of.frames,
        labels=of.labels,
        precision=_known(of.precision),
        precision_low=_low(of.precision_interval),
        precision_high=_high(of.precision_interval),
        recall=_known(of.recall),
        recall_low=_low(of.recall_interval),
        recall_high=_high(of.recall_interval),
        f1=_known(of.f1),
        f1_low=_low(of.f1_interval),
        f1_high=_high(of.f1_interval),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _low(of: Interval | None) -> float | None:
    return None if of is None else round(of.low, 4)


def _high(of: Interval | None) -> float | None:
    return None if of is None else round(of.high, 4)
