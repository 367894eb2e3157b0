"""Samples as they are exported: one list of classes for all models, labels or else the model's boxes, and splits."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from agent.maintenance.samples.sample import AUDIT, Box, Sample
from agent.maintenance.samples.store import StoredSample

VALIDATION_SHARE = 0.2
APART_SECONDS = 1.0
"""A frame that was taken so near to one of the audit shows the same: trained on, it would make the test worthless."""

Progress = Callable[[Iterable["Exported"], int], Iterable["Exported"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A sample with its `boxes` by the export's classes, and its `split`: train, val or test."""

    kept: StoredSample
    boxes: tuple[Box, ...]
    split: str

    @property
    def name(self) -> str:
        """The file name of its image."""
        return f"{self.kept.sample.id}.jpg"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatasetExport:
    """What is written below the folder `out`, which is there and empty; `classes` are the names by number."""

    out: Path
    classes: tuple[str, ...]
    samples: Sequence[Exported]
    progress: Progress = lambda samples, _total: samples

    def each(self) -> Iterable[Exported]:
        """The samples, with progress shown."""
        return self.progress(self.samples, len(self.samples))


def export_of(
    kept: Sequence[StoredSample], classes: Mapping[str, Sequence[str]], out: Path, progress: Progress
) -> DatasetExport:
    """The export of `kept`, oldest first within a camera; `classes` are each model's, the newest model's first.

    Audit samples are the test split; what was taken at nearly the same moment is left out. Of the others the newest
    fifth of each camera is for validation: neighbours in time look alike, and a split by chance would part them.
    """
    kept = apart_from_audit(kept)
    names = all_names(kept, classes)
    numbers = {name: number for number, name in enumerate(names)}
    splits = _splits([one.sample for one in kept])
    exported = [
        Exported(
            kept=one,
            split=splits[one.sample.id],
            boxes=tuple(
                replace(box, class_id=numbers[class_name(one.sample.model, box.class_id, classes)])
                for box in boxes_of(one.sample)
            ),
        )
        for one in kept
    ]
    return DatasetExport(out=out, classes=names, samples=exported, progress=progress)


def apart_from_audit(kept: Sequence[StoredSample]) -> list[StoredSample]:
    """All but the frames within APART_SECONDS of one of the audit of their camera: often it is the same one."""
    moments: dict[str, list[float]] = {}
    for one in kept:
        if one.sample.reason == AUDIT:
            moments.setdefault(one.sample.camera, []).append(one.sample.captured_at)
    for times in moments.values():
        times.sort()
    return [
        one
        for one in kept
        if one.sample.reason == AUDIT
        or _away(one.sample.captured_at, moments.get(one.sample.camera, [])) >= APART_SECONDS
    ]


def _away(at: float, times: Sequence[float]) -> float:
    """From the nearest of these `times`, which are sorted."""
    place = bisect(times, at)
    return min((abs(at - time) for time in times[max(0, place - 1) : place + 1]), default=inf)


def boxes_of(sample: Sample) -> tuple[Box, ...]:
    """The labels; the model's boxes where there are none yet."""
    return sample.found if sample.labels is None else sample.labels


def class_name(model: str, number: int, classes: Mapping[str, Sequence[str]]) -> str:
    """What a model calls a class; `class7` where its names are not known."""
    names = classes.get(model, ())
    return names[number] if number < len(names) else f"class{number}"


def numbered_names(
    model: str, samples: Iterable[Sample], classes: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The names of a model's classes by number, with those that only boxes of its samples have: `class7`.

    A name that labels add comes after them; else it would have the number of a class that the model finds.
    """
    numbers = (
        box.class_id for one in samples if one.model == model for box in (*one.found, *(one.labels or ()))
    )
    most = max(numbers, default=-1) + 1
    return tuple(
        class_name(model, number, classes) for number in range(max(most, len(classes.get(model, ()))))
    )


def all_names(kept: Sequence[StoredSample], classes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Those of the newest sample's model in its order, then what other models or labels have beside it."""
    newest = max(kept, key=lambda one: one.sample.captured_at).sample.model
    used = [
        class_name(one.sample.model, box.class_id, classes) for one in kept for box in boxes_of(one.sample)
    ]
    return tuple(dict.fromkeys([*classes.get(newest, ()), *used]))


def _splits(samples: Sequence[Sample]) -> dict[str, str]:
    splits: dict[str, str] = {}
    for camera in {sample.camera for sample in samples}:
        chosen = [one for one in samples if one.camera == camera and one.reason != AUDIT]
        chosen.sort(key=lambda one: one.captured_at)
        first = len(chosen) - round(VALIDATION_SHARE * len(chosen))
        splits |= {one.id: "train" if place < first else "val" for place, one in enumerate(chosen)}
    return {one.id: splits.get(one.id, "test") for one in samples}
