"""The set that is trained on: new images, old ones mixed in, one list of classes; tested on images of neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agent.core.class_names import counterparts
from agent.core.errors import ConfigError
from agent.maintenance.evaluation.labels import LabelledImage, LabelledSet


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """What is trained on: `new` and `old` images, `checked` ones that the best epoch is chosen by.

    `fresh` are the classes that the model does not have.
    """

    data: Path
    new: int
    old: int
    checked: int
    fresh: tuple[str, ...]


def write_set(
    folder: Path, model: Sequence[str], new: LabelledSet, checked: LabelledSet, old: LabelledSet | None
) -> TrainingSet:
    """Write the set into `folder`: links to the images, and labels by the classes of `model`, which go on counting.

    A class that the model does not have, and that is labelled somewhere, comes after those that it has. Of `old` an
    even choice, as many as there are new images.
    """
    kept = list(old.images) if old else []
    kept = kept[:: max(1, -(-len(kept) // len(new.images)))]
    parts = [(new, new.images), (old or new, kept), (checked, checked.images)]
    fresh = _fresh(model, parts)
    names = (*model, *fresh)
    trained, mixed, chosen = ([_numbered(one, of.names, names) for one in images] for of, images in parts)
    _write(folder, "train", [*trained, *mixed])
    _write(folder, "val", chosen)
    lines = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(names))
    data = folder / "data.yaml"
    data.write_text(
        f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\nnames:\n{lines}", "utf-8"
    )
    return TrainingSet(data=data, new=len(trained), old=len(mixed), checked=len(chosen), fresh=fresh)


def _fresh(
    model: Sequence[str], parts: Iterable[tuple[LabelledSet, Sequence[LabelledImage]]]
) -> tuple[str, ...]:
    """The classes of labelled boxes that the model does not have, each once."""
    used: dict[str, None] = {}
    for of, images in parts:
        known = counterparts(of.names, (*model, *used))
        used |= dict.fromkeys(
            of.names[number] for one in images for number in one.classes.tolist() if number not in known
        )
    return tuple(used)


def check_separate(test: Iterable[LabelledImage], others: Iterable[LabelledImage]) -> None:
    """Raise ConfigError where an image of the test is, by its content, one of the others."""
    known = {_digest(image.path): image.path for image in others}
    for image in test:
        twin = known.get(_digest(image.path))
        if twin is not None:
            raise ConfigError(
                f"{image.path} is trained on, too ({twin}): its result would prove nothing",
                file="--test",
                expected="images of neither train nor val (audit samples: `vedette samples export`)",
            )


def _numbered(image: LabelledImage, own: Sequence[str], names: Sequence[str]) -> LabelledImage:
    """The image with its classes by their numbers in `names`."""
    numbers = counterparts(own, names)
    classes = [numbers[number] for number in image.classes.tolist()]
    return replace(image, classes=np.array(classes, dtype=np.int64))


def _write(folder: Path, split: str, images: Sequence[LabelledImage]) -> None:
    places = {kind: folder / kind / split for kind in ("images", "labels")}
    for place in places.values():
        place.mkdir(parents=True)
    for number, image in enumerate(images):
        name = f"{number:06d}"
        (places["images"] / f"{name}{image.path.suffix.lower()}").symlink_to(image.path.resolve())
        rows = zip(image.classes.tolist(), image.boxes.tolist(), strict=True)
        text = "".join(f"{class_id} {' '.join(f'{value:.6f}' for value in box)}\n" for class_id, box in rows)
        (places["labels"] / f"{name}.txt").write_text(text)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
