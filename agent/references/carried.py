"""A provisional reference for a new model: the old image features, and its detections on the kept frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.scope import Scope
from agent.core.types import Detections
from agent.drift.carry import carry
from agent.features import OF_THE_MODEL
from agent.features.distance import EmbeddingModel
from agent.features.extract import extract
from agent.features.extremes import Extremes
from agent.references.recorder import Subject
from agent.references.store import ReferenceStore
from agent.references.stored import StoredReference

LEAST_FRAMES = 12
"""Kept frames that a provisional reference needs: of a simulated camera with so many, nothing was taken for drift in 60
windows, in 30 of 30 trials."""


@dataclass(frozen=True, slots=True)
class Carry:
    """The reference of `subject` is wanted, by what `base` (its id) knows; its frames are judged within `scope`."""

    subject: Subject
    base: StoredReference
    scope: Scope


def carriable(store: ReferenceStore, subject: Subject) -> StoredReference | None:
    """The reference in force, where it is of the same features and windows and only the model is another one."""
    try:
        stored = store.load(subject.camera)
        stored.reference.check(
            model_sha256=stored.reference.origin.model_sha256,
            feature_version=subject.feature_version,
            features=subject.features,
            window_seconds=subject.window_seconds,
        )
    except ReferenceMismatch:
        return None
    return stored


def carried(
    wanted: Carry, seen: Sequence[tuple[NDArray[np.uint8], Detections]], now: float
) -> StoredReference | None:
    """The reference by what the model found on kept frames, `seen`; None where those of the model are too few."""
    subject, base = wanted.subject, wanted.base
    ours = [(image, found) for image, found in seen if found.model == subject.model_sha256]
    if len(ours) < LEAST_FRAMES:
        return None
    table = np.stack([extract(image, found, scope=wanted.scope)[0] for image, found in ours])
    classes: Counter[int] = Counter()
    embedding = EmbeddingModel()
    for _, found in ours:
        classes.update(found.class_ids.tolist())
        if found.embedding is not None:
            embedding.add(found.embedding)
    extremes = Extremes(len(subject.features))
    extremes.add(table)
    low, high = extremes.limits()
    new = np.array([name in OF_THE_MODEL for name in subject.features])
    return replace(
        base,
        reference=carry(base.reference, table, classes, model_sha256=subject.model_sha256, now=now),
        low=np.where(new, low, base.low).astype(np.float32),
        high=np.where(new, high, base.high).astype(np.float32),
        embedding=embedding,
        made_by="auto",
        final=False,
        accepted=None,
        lived=None,
    )
