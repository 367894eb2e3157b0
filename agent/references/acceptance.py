"""What an operator accepts as normal: what was seen since a moment, taken into the reference in force.

    asked ──▶ built of what was seen since then ──▶ built anew each time that twice as much was seen, up to a day

A reference that knows a new level from two hours would be wrong by their weather for good; so what is seen without an
alarm afterwards goes on being taken in, until a day of it is known. Until then its limits are wider by what so short a
time does not tell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.alerts.words import stamp
from agent.core.counts import count
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import parse_kept, take_object, take_text
from agent.drift import acceptance
from agent.drift.acceptance_limits import WHOLE_SECONDS
from agent.drift.recent import DIRECTIONS, Block, RecentWeek
from agent.features.embedding import project
from agent.references.changes import note
from agent.references.recorder import LEAST_WINDOWS, Subject
from agent.references.sampling import SampledWindow
from agent.references.store import LARGEST, RECENT, ReferenceStore, ReferenceVersion
from agent.references.stored import Accepted, StoredReference

log = structlog.get_logger("vedette.drift")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcceptanceRequest:
    """What is to be taken in: `blocks`, of all those that are `recent`; `again` where it was begun before."""

    accepted: Accepted
    blocks: Sequence[Block]
    recent: Sequence[Block]
    again: bool
    task = "accept what was seen"

    def carry_out(self, store: ReferenceStore, camera: str, replaces: str, now: float) -> ReferenceVersion:
        """Put the reference that takes it in in force; the version `replaces` goes, where it was begun before."""
        made = take_in(store.load(camera, self.accepted.base), self.accepted, self.blocks, self.recent, now)
        version = store.put(camera, made, replaces=replaces if self.again else "")
        if not self.again:
            about = self.accepted
            note(store, camera, "accepted", version.id, at=about.at, who=about.by, why=about.why)
        return version


class Acceptance:
    """What a camera showed lately, and what is to be taken in of it. One thread's own."""

    def __init__(self) -> None:
        self._recent = RecentWeek()

    def restore(self, store: ReferenceStore, subject: Subject) -> None:
        """Go on with what was saved, where it was seen by the same model."""
        camera = subject.camera
        try:
            kept = parse_kept(store.read(camera, RECENT) or "[]", largest=LARGEST)
            if isinstance(kept, list):  # an earlier version named no model
                kept = {"model": subject.model_sha256, "blocks": kept}
            kept = take_object({"recent": kept}, "recent")
            if take_text(kept, "model", longest=64) == subject.model_sha256:
                self._recent = RecentWeek.restore(kept.get("blocks"), len(subject.features))
        except (ReferenceMismatch, ValueError) as error:
            log.warning(
                "the stored windows for `reference accept` cannot be used and are discarded",
                camera=camera,
                reason=str(error),
            )

    def to_text(self, subject: Subject) -> str:
        """What `restore` goes on with, as JSON text (350 kB for a week)."""
        return json.dumps({"model": subject.model_sha256, "blocks": self._recent.state()})

    def add(self, window: SampledWindow, *, alarmed: bool) -> None:
        """Remember a window."""
        points = [project(each, DIRECTIONS) for each in window.embeddings]
        known = [each for each in points if each is not None]
        total = np.sum(known, axis=0) if known else np.zeros(DIRECTIONS)
        self._recent.add(window.sketch, total, len(known), alarmed=alarmed)

    def asked(
        self, stored: StoredReference, since: float, *, now: float, by: str, why: str
    ) -> AcceptanceRequest:
        """What is to be taken in of what was seen since then; ReferenceMismatch where that is too little."""
        blocks = self._recent.since(since)
        windows = sum(each.windows for each in blocks)
        if windows < LEAST_WINDOWS:
            raise ReferenceMismatch(
                f"{count(windows, 'window is', 'windows are')} known since {stamp(since)}; expected at least "
                f"{LEAST_WINDOWS}: name an earlier time, or wait"
            )
        accepted = Accepted(
            base=stored.id,
            since=blocks[0].start,
            until=blocks[-1].end,
            windows=windows,
            by=by,
            why=why,
            at=now,
        )
        return self._request(accepted, blocks, again=False)

    def continued(self, stored: StoredReference, now: float) -> AcceptanceRequest | None:
        """What is to be taken in anew, as twice as much was seen since; None where nothing is due."""
        accepted = stored.accepted
        if accepted is None:
            return None
        covered = accepted.until - accepted.since
        if covered >= WHOLE_SECONDS or now - accepted.since < min(2 * covered, WHOLE_SECONDS):
            return None
        seen = [
            each
            for each in self._recent.since(accepted.since)
            if each.start < accepted.at or not each.alarmed
        ]
        windows = sum(each.windows for each in seen)
        if windows <= accepted.windows:
            return None
        return self._request(replace(accepted, until=now, windows=windows), seen, again=True)

    def _request(self, accepted: Accepted, blocks: Sequence[Block], *, again: bool) -> AcceptanceRequest:
        recent = [
            replace(each) for each in self._recent.blocks
        ]  # the writer reads them while windows are added
        return AcceptanceRequest(
            accepted=accepted, blocks=[replace(each) for each in blocks], recent=recent, again=again
        )


def take_in(
    base: StoredReference, accepted: Accepted, blocks: Sequence[Block], recent: Sequence[Block], now: float
) -> StoredReference:
    """`base` with `blocks`, a part of `recent`, taken in."""
    reference = acceptance.accept(base.reference, blocks, now, _settled(base, accepted, recent))
    low, high = _frame_limits(base, blocks)
    embeddings = sum(each.embeddings for each in blocks)
    mean = sum((each.embedding for each in blocks), np.zeros(DIRECTIONS)) / max(embeddings, 1)
    return replace(
        base,
        reference=reference,
        low=low,
        high=high,
        embedding=base.embedding.widened(mean, embeddings),
        accepted=accepted,
        lived=None,
        grown_from="",
    )


def _settled(base: StoredReference, accepted: Accepted, recent: Sequence[Block]) -> set[int]:
    """Hours of the day at which an acceptance of the day before was found right."""
    earlier = base.accepted
    if earlier is None or accepted.at - earlier.at > WHOLE_SECONDS:
        return set()
    return {
        int(each.start % 86400 // 3600)
        for each in recent
        if earlier.at <= each.start < accepted.since and not each.alarmed
    }


def _frame_limits(
    base: StoredReference, blocks: Sequence[Block]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Limits of single frames (F,): those of before, and as far from the middle of what was seen since."""
    names = base.reference.origin.features
    knots = np.concatenate([each.knots for each in blocks], axis=1)
    known = np.isfinite(knots)
    middles = np.array([base.reference.whole(name).quantiles([0.5])[0] for name in names])
    new = np.where(known, knots, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    moved = np.where(known.any(axis=1) & np.isfinite(middles), new - middles, 0.0)
    lowest, highest = (np.where(known, knots, far) for far in (np.inf, -np.inf))
    low = np.fmin(np.minimum(base.low, base.low + moved), _finite(lowest.min(axis=1)))
    high = np.fmax(np.maximum(base.high, base.high + moved), _finite(highest.max(axis=1)))
    return low.astype(np.float32), high.astype(np.float32)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)
