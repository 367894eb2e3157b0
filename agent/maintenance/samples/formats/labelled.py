"""Samples as they are exported: one list of classes for all models, labels or else the model's boxes, and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.maintenance.samples.sample import AUDIT, Box, Sample
from agent.maintenance.samples.store import Kept

VALIDATION_SHARE = 0.2

Progress = Callable[[Iterable["Exported"], int], Iterable["Exported"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A sample with its `boxes` by the export's classes, and its `split`: train, val or test."""

    kept: Kept
    boxes: tuple[Box, ...]
    split: str

    @property
    def name(self) -> str:
        """The file name of its image."""
        return f"{self.kept.sample.id}.jpg"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Export:
    """What is written below the folder `out`, which is there and empty; `classes` are the names by number."""

    out: Path
    classes: tuple[str, ...]
    samples: Sequence[Exported]
    progress: Progress = lambda samples, _total: samples

    def each(self) -> Iterable[Exported]:
        """The samples, with progress shown."""
        return self.progress(self.samples, len(self.samples))


def export_of(
    kept: Sequence[Kept], classes: Mapping[str, Sequence[str]], out: Path, progress: Progress
) -> Export:
    """The export of `kept`, oldest first within a camera; `classes` are each model's, the newest model's first.

    Audit samples are the test split. Of the others the newest fifth of each camera is for validation: neighbours in
    time look alike, and a split by chance would put them on both sides.
    """
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
    return Export(out=out, classes=names, samples=exported, progress=progress)


def boxes_of(sample: Sample) -> tuple[Box, ...]:
    """The labels; the model's boxes where there are none yet."""
    return sample.found if sample.labels is None else sample.labels


def class_name(model: str, number: int, classes: Mapping[str, Sequence[str]]) -> str:
    """What a model calls a class; `class7` where its names are not known."""
    names = classes.get(model, ())
    return names[number] if number < len(names) else f"class{number}"


def all_names(kept: Sequence[Kept], classes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
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
