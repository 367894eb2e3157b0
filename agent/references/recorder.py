"""A reference that is being recorded: gathers a camera's windows, survives restarts, knows when they are enough."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput, parse_kept, take_list, take_number, take_object, take_text
from agent.drift import recording_storage, reference
from agent.drift.recording import Recording
from agent.drift.sketch import LATEST, MOST_FEATURES, WindowSketch
from agent.features.distance import EmbeddingModel
from agent.features.extremes import Extremes
from agent.references.stored import StoredReference

FORMAT = "vedette-recording"
LARGEST_BYTES = 256 * 1024 * 1024
"""Of a recording that is still read: a day of 20 features has 2.6 MB."""

LEAST_WINDOWS = 10
"""Fewer windows than this are too short a recording to show what is normal."""

_ENOUGH = 0.995  # of the length asked for: the last window must not be waited for twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a recording is of: a camera's pictures through one model and one version of the features."""

    camera: str
    model_sha256: str
    feature_version: str
    features: tuple[str, ...]
    window_seconds: float


class ReferenceRecorder:
    """Gathers windows until they cover `length` seconds; `made_by` is "auto" or "asked". One thread's own."""

    def __init__(self, subject: Subject, *, made_by: str, length: float, started_at: float) -> None:
        self.subject, self.made_by = subject, made_by
        self.length, self.started_at = length, started_at
        self.recording = Recording(subject.features)
        self.extremes = Extremes(len(subject.features))
        self.embedding = EmbeddingModel()

    def add(
        self,
        window: WindowSketch,
        vectors: NDArray[np.float32],
        embeddings: Sequence[NDArray[np.float32]],
    ) -> None:
        """Add a window, its frames (n, F) and their embeddings; one without frames is passed over."""
        self.recording.add(window)
        if len(vectors):
            self.extremes.add(vectors)
        for embedding in embeddings:
            self.embedding.add(embedding)

    @property
    def covered(self) -> float:
        """Seconds of windows with frames in them."""
        return self.recording.covered

    @property
    def windows(self) -> int:
        """Windows with frames in them."""
        return len(self.recording.starts)

    @property
    def enough(self) -> bool:
        """Whether a reference can be made of it: windows may be long (a machine that slept), their number counts."""
        return self.windows >= LEAST_WINDOWS

    @property
    def complete(self) -> bool:
        """Whether it covers what was asked for."""
        return self.covered >= _ENOUGH * self.length

    def make(self, now: float, *, final: bool, utc_offset: float = 0.0) -> StoredReference:
        """The reference so far; ReferenceMismatch where that is too little.

        `utc_offset` is the seconds that local time is ahead of UTC.
        """
        if not self.enough:
            raise ReferenceMismatch(
                f"camera {self.subject.camera!r}: {self.windows} windows with frames in them were recorded, "
                f"at least {LEAST_WINDOWS} are needed: record for longer"
            )
        subject = self.subject
        made = reference.build(
            self.recording,
            camera=subject.camera,
            model_sha256=subject.model_sha256,
            feature_version=subject.feature_version,
            now=now,
        )
        # A busy machine closes windows a little late; what the reference is for are windows as configured.
        origin = dataclasses.replace(
            made.origin, window_seconds=subject.window_seconds, utc_offset=utc_offset
        )
        low, high = self.extremes.limits()
        return StoredReference(
            reference=dataclasses.replace(made, origin=origin),
            low=low,
            high=high,
            embedding=self.embedding,
            made_by=self.made_by,
            final=final,
        )

    def to_text(self) -> str:
        """As JSON text (2.6 MB a day of 20 features); `from_text` goes on from it."""
        body = {
            "format": FORMAT,
            "subject": dataclasses.asdict(self.subject),
            "made_by": self.made_by,
            "length": self.length,
            "started_at": self.started_at,
            "recording": recording_storage.recording_state(self.recording),
            "extremes": self.extremes.to_json(),
            "embedding": self.embedding.to_json(),
        }
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> ReferenceRecorder:
        """What `to_text` wrote; ReferenceMismatch for anything else."""
        try:
            body = parse_kept(text, largest=LARGEST_BYTES)
            if not isinstance(body, dict) or body.get("format") != FORMAT:
                raise ReferenceMismatch("not a recording")
            subject = _subject(take_object(body, "subject"))
            recorder = cls(
                subject,
                made_by=take_text(body, "made_by", longest=16),
                length=take_number(body, "length", minimum=0.0, maximum=LATEST),
                started_at=take_number(body, "started_at", minimum=0.0, maximum=LATEST),
            )
            recorder.recording = recording_storage.restore_recording(take_object(body, "recording"))
            recorder.extremes = Extremes.from_json(take_object(body, "extremes"))
            recorder.embedding = EmbeddingModel.from_json(take_object(body, "embedding"))
        except BadInput as error:
            raise ReferenceMismatch(f"the recording is damaged: {error}") from None
        if recorder.recording.features != subject.features or len(recorder.extremes.counts) != len(
            subject.features
        ):
            raise ReferenceMismatch("the recording is damaged (its features do not fit)")
        return recorder


def _subject(body: Mapping[str, Any]) -> Subject:
    return Subject(
        camera=take_text(body, "camera"),
        model_sha256=take_text(body, "model_sha256"),
        feature_version=take_text(body, "feature_version"),
        features=tuple(str(name) for name in take_list(body, "features", longest=MOST_FEATURES)),
        window_seconds=take_number(body, "window_seconds", minimum=0.0, maximum=LATEST),
    )
