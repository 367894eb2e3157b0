"""The labelled samples as a set to evaluate on; those of the audit alone, for nobody chose them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.maintenance.evaluation.labels import LabelledImage, LabelledSet
from agent.maintenance.samples.formats.labelled import all_names, class_name
from agent.maintenance.samples.sample import AUDIT
from agent.maintenance.samples.store import SampleStore, StoredSample


def labelled_audit(store: SampleStore, *, most: int) -> list[StoredSample]:
    """The labelled samples that were drawn at random, oldest first; of more than `most` an even choice.

    Without those that are encrypted.
    """
    found = [
        one
        for one in store.samples()
        if one.sample.reason == AUDIT and one.sample.labels is not None and not one.sealed
    ]
    found.sort(key=lambda one: one.sample.captured_at)
    return found[:: -(-len(found) // most)] if found else []


def set_of(kept: Sequence[StoredSample], store: SampleStore) -> LabelledSet:
    """Those samples, at least one, with their labels by one list of classes; the groups are the cameras."""
    classes = store.classes()
    names = all_names(kept, classes)
    numbers = {name: number for number, name in enumerate(names)}
    images = []
    for one in kept:
        labels = one.sample.labels or ()
        images.append(
            LabelledImage(
                path=one.image,
                boxes=np.array(
                    [(box.x, box.y, box.width, box.height) for box in labels], dtype=np.float32
                ).reshape(-1, 4),
                classes=np.array(
                    [numbers[class_name(one.sample.model, box.class_id, classes)] for box in labels],
                    dtype=np.int64,
                ),
                group=one.sample.camera,
            )
        )
    return LabelledSet(images=tuple(images), names=names, left_out=())
