"""A provisional reference for a new model: the old image features, and its detections on the kept frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.scope import Scope
from agent.core.types import Detections, FrameResult
from agent.drift.carry import carry
from agent.features import OF_THE_MODEL
from agent.features.distance import EmbeddingModel
from agent.features.extract import extract
from agent.features.extremes import Extremes
from agent.references.choice import choose
from agent.references.recorder import Subject
from agent.references.store import ReferenceStore
from agent.references.stored import StoredReference
from agent.references.writer import ReferenceWriter

Submit = Callable[[Callable[[], None]], None]
"""Has something done in the analyst's thread."""

LEAST_FRAMES = 12
"""Kept frames that a provisional reference needs: of a simulated camera with so many, nothing was taken for drift in 60
windows, in 30 of 30 trials."""


@dataclass(frozen=True, slots=True)
class Carry:
    """The reference of `subject` is wanted, by what `base` (its id) knows; its frames are judged within `scope`."""

    subject: Subject
    base: StoredReference
    scope: Scope


CarryOver = Callable[[Carry, Callable[[StoredReference], None]], None]
"""Asks for the provisional reference of another model, which is handed over in another thread."""


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
        grown_from="",
    )


class CarryingOver:
    """Has the provisional reference of one camera made where only another model's is there, and puts it in force.

    `ask` and `frame` belong to the analyst's thread; `submit` leads back to it.
    """

    def __init__(
        self,
        subject: Subject,
        store: ReferenceStore,
        writer: ReferenceWriter,
        *,
        carry: CarryOver,
        submit: Submit,
        in_force: Callable[[str], None],
    ) -> None:
        self._subject, self._store, self._writer = subject, store, writer
        self._carry, self._submit, self._in_force = carry, submit, in_force
        self._base: StoredReference | None = None

    def begin(self) -> StoredReference | None:
        """The reference to be carried over, if there is one that can be."""
        self._base = carriable(self._store, self._subject)
        return self._base

    def frame(self, result: FrameResult) -> None:
        """A frame of this model: with the first, the camera's scope is known, and the reference is asked for."""
        if self._base is not None:
            wanted, self._base = Carry(self._subject, self._base, result.frame.scope), None
            self._carry(wanted, lambda made: self._submit(lambda: self._put(made)))

    def _put(self, made: StoredReference) -> None:
        """Put it in force, unless one was recorded meanwhile."""
        camera, store, subject = self._subject.camera, self._store, self._subject

        def put() -> None:
            if choose(store, subject)[0] is None:
                version = store.put(camera, made)
                self._submit(lambda: self._in_force(version.id))

        self._writer.ask(f"keep the provisional reference of camera {camera}", put)
