"""A stored reference: the part that judges windows, and the part that judges single frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import HUGE
from agent.core.errors import ReferenceMismatch
from agent.core.printable import printable
from agent.core.untrusted import (
    BadInput,
    take_flag,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.drift import storage
from agent.drift.living import Creep
from agent.drift.reference import Reference
from agent.drift.sketch import LATEST, MOST_FEATURES
from agent.features.distance import EmbeddingModel

MADE_BY = ("auto", "asked", "images")
_LONGEST_WORD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What an operator took in: `windows` from `since` to `until` (Unix times), into the reference `base` (its id).

    `by` is who asked, `at` when, `why` the reason given.
    """

    base: str
    since: float
    until: float
    windows: int
    by: str
    why: str
    at: float

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Accepted:
        """What `asdict` gave; BadInput for anything else."""
        return cls(
            base=printable(take_text(body, "base", longest=64)),
            since=take_number(body, "since", minimum=0.0, maximum=LATEST),
            until=take_number(body, "until", minimum=0.0, maximum=LATEST),
            windows=take_integer(body, "windows", minimum=0, maximum=storage.MOST_COUNT),
            by=printable(take_text(body, "by", longest=_LONGEST_WORD)),
            why=printable(take_text(body, "why", longest=_LONGEST_WORD)),
            at=take_number(body, "at", minimum=0.0, maximum=LATEST),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What a reference that lives was made of: the version `before` it, and the `anchor`, which saw the camera until
    `since` (Unix time); `creep` is how far the features that moved most have moved since, the farthest first."""

    anchor: str
    before: str
    since: float
    creep: tuple[Creep, ...]

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Lived:
        """What `asdict` gave; BadInput for anything else."""
        return cls(
            anchor=printable(take_text(body, "anchor", longest=64)),
            before=printable(take_text(body, "before", longest=64)),
            since=take_number(body, "since", minimum=0.0, maximum=LATEST),
            creep=tuple(
                _creep(take_object({"creep": each}, "creep"))
                for each in take_list(body, "creep", longest=MOST_FEATURES)
            ),
        )


def _creep(body: Mapping[str, Any]) -> Creep:
    then, now, sigmas = (
        take_number(body, name, minimum=-HUGE, maximum=HUGE) for name in ("then", "now", "sigmas")
    )
    return Creep(
        feature=printable(take_text(body, "feature", longest=_LONGEST_WORD)),
        then=then,
        now=now,
        sigmas=sigmas,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredReference:
    """A reference with the limits of single frames.

    `low`, `high` (F,) float32 are the 0.1 % and 99.9 % quantiles of each feature's frames, NaN where never seen;
    `embedding` knows the embeddings. `made_by` is one of MADE_BY; `final` is False for what is renewed while its
    recording goes on. `accepted` is what an operator took into it since it was recorded, `lived`
    what it took in by itself, and `grown_from` the id of the shorter one that it took the place of by itself.
    """

    reference: Reference
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    embedding: EmbeddingModel
    made_by: str
    final: bool
    accepted: Accepted | None = None
    lived: Lived | None = None
    grown_from: str = ""

    @property
    def id(self) -> str:
        """The reference's."""
        return self.reference.id

    @property
    def taken_in(self) -> str:
        """By what it last took in more than its recording."""
        if self.lived is not None:
            return "lived"
        return "grown" if self.grown_from else "accepted"

    def about(self) -> dict[str, Any]:
        """Its origin and state, as JSON values."""
        reference, origin = self.reference, self.reference.origin
        return {
            "id": self.id,
            "made_at": origin.made_at,
            "made_how": origin.made_how,
            "made_by": self.made_by,
            "covered": origin.covered,
            "hours": sorted(reference.hours) if not reference.any_hour else [],
            "provisional": reference.provisional,
            "final": self.final,
            "model_sha256": origin.model_sha256,
            "feature_version": origin.feature_version,
            **self._taken_in(),
        }

    def _taken_in(self) -> dict[str, Any]:
        taken = {"accepted": self.accepted, "lived": self.lived}
        grown = {"grown_from": self.grown_from} if self.grown_from else {}
        return {**{name: asdict(what) for name, what in taken.items() if what is not None}, **grown}

    def to_text(self) -> str:
        """As one JSON object: the reference's own, and `frames`."""
        body = storage.body_of(self.reference)
        body["frames"] = {
            "low": _plain(self.low),
            "high": _plain(self.high),
            "embedding": self.embedding.to_json(),
            "made_by": self.made_by,
            "final": self.final,
            **self._taken_in(),
        }
        return storage.sealed(body)

    @classmethod
    def from_text(cls, text: str | bytes) -> StoredReference:
        """What `to_text` wrote; ReferenceMismatch for anything else, damaged, foreign or newer."""
        return cls.from_body(storage.opened(text))

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> StoredReference:
        """The reference in a text that was opened: a checksum signs nothing, so every value is looked at."""
        reference = storage.from_body(body)
        frames = body.get("frames")
        if not isinstance(frames, dict):
            raise ReferenceMismatch("the reference is damaged (the limits of single frames are missing)")
        width = len(reference.origin.features)
        try:
            made_by = take_text(frames, "made_by", longest=16)
            return cls(
                reference=reference,
                low=_array(frames, "low", width),
                high=_array(frames, "high", width),
                embedding=EmbeddingModel.from_json(take_object(frames, "embedding")),
                made_by=made_by if made_by in MADE_BY else MADE_BY[1],
                final=take_flag(frames, "final"),
                accepted=Accepted.from_body(take_object(frames, "accepted"))
                if "accepted" in frames
                else None,
                lived=Lived.from_body(take_object(frames, "lived")) if "lived" in frames else None,
                grown_from=printable(take_text(frames, "grown_from", "", longest=64)),
            )
        except BadInput as error:
            raise ReferenceMismatch(f"the reference is damaged: {error}; record a new one") from None


def _plain(values: NDArray[np.float32]) -> list[float | None]:
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values.tolist()]


def _array(frames: Mapping[str, Any], name: str, width: int) -> NDArray[np.float32]:
    """Numbers within a float32's range, null where one is not known."""
    entries = take_list(frames, name, longest=MOST_FEATURES)
    if len(entries) != width:
        raise BadInput(f"`{name}` has another length than the features")
    largest = float(np.finfo(np.float32).max)
    values = [take_number({name: each}, name, np.nan, minimum=-largest, maximum=largest) for each in entries]
    return np.array(values, dtype=np.float32)
