"""A camera's living reference: updated day by day with what was judged normal; creep is reported.

    final reference ──(a day of settled hours, `agent.drift.living`)──▶ renewed; the one that it was stays as the anchor

An accepted change, a recording or a roll-back makes another anchor. What the anchor and the renewed one differ by is
creep: too slow for an alarm, and observed for the rules with its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import structlog

from agent.core import clock
from agent.core.counts import figures
from agent.core.errors import ReferenceMismatch
from agent.core.types import Observation
from agent.core.untrusted import parse_kept, take_object, take_text
from agent.drift.living import Creep, NormalHour, NormalHours, creep, renew
from agent.drift.retrial import DAY_SECONDS
from agent.drift.verdict import DriftVerdict
from agent.references.sampling import SampledWindow
from agent.references.store import LARGEST, LIVING, ReferenceStore, ReferenceVersion
from agent.references.stored import Lived, StoredReference

log = structlog.get_logger("vedette.drift")

SAVE_SECONDS = 6 * 3600.0
"""Two days of hours have 300 kB, written as a whole: 1.2 MB a day."""

MOST_CREEP = 5
"""Features whose creep is kept."""

_NAMED = 3
_WORTH_NAMING = 0.5  # sigma
_CREPT = 1.0  # sigma: the limit of the rule `creep`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HourRenewal:
    """Hours to be taken in."""

    hours: Sequence[NormalHour]
    task = "renew the reference"

    def carry_out(self, store: ReferenceStore, camera: str, replaces: str, now: float) -> ReferenceVersion:
        """Put the renewed reference in force; the version `replaces` goes, unless it is the anchor."""
        current, before = store.find(camera), store.load(camera)
        if before.id != replaces:
            return current  # another one was put in force meanwhile
        name, anchor = _anchor(store, camera, before) or (current.id, before)
        made = renewed(before, self.hours, now, clock.utc_offset(now))
        lived = Lived(
            anchor=name,
            before=before.id,
            since=anchor.reference.origin.end,
            creep=creep(anchor.reference, made.reference)[:MOST_CREEP],
        )
        gone = replaces if name != current.id else ""
        return store.put(camera, replace(made, lived=lived), replaces=gone, keep=name)


def _anchor(
    store: ReferenceStore, camera: str, before: StoredReference
) -> tuple[str, StoredReference] | None:
    """The id and content of what the reference was before it was first renewed; None where that is now, and where a
    person removed it."""
    if before.lived is None:
        return None
    try:
        return before.lived.anchor, store.load(camera, before.lived.anchor)
    except ReferenceMismatch:
        return None


def renewed(
    before: StoredReference, hours: Sequence[NormalHour], now: float, utc_offset: float
) -> StoredReference:
    """`before` with `hours` taken in; limits of single frames move as the features' medians do."""
    reference = renew(before.reference, hours, now, utc_offset)
    names = reference.origin.features
    medians = np.array(
        [[each.whole(name).quantiles([0.5])[0] for name in names] for each in (before.reference, reference)]
    )
    moved = np.nan_to_num(medians[1] - medians[0]).astype(np.float32)
    return replace(before, reference=reference, low=before.low + moved, high=before.high + moved)


def carried(state: Any, stored: StoredReference) -> Any:
    """A judge's `state` as one by `stored`, where that is the renewal of its reference: scores mean the same."""
    if (
        isinstance(state, Mapping)
        and stored.lived is not None
        and state.get("reference") == stored.lived.before
    ):
        return {**state, "reference": stored.id}
    return state


class Living:
    """The hours of one camera that wait to be taken in. One thread's own."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._hours, self._alarm = NormalHours(), False
        self._saved_at: float | None = None

    def restore(self, store: ReferenceStore, camera: str, stored: StoredReference | None) -> None:
        """Go on with what was saved, where it was judged by `stored` or by the one that this was renewed from."""
        if stored is None:
            return
        try:
            kept = take_object(
                {"living": parse_kept(store.read(camera, LIVING) or "{}", largest=LARGEST)}, "living"
            )
            by = take_text(kept, "reference", "", longest=64)
            if by in {stored.id, stored.lived.before if stored.lived else stored.id}:
                self._hours = NormalHours.restore(kept.get("hours"), len(stored.reference.origin.features))
        except (ReferenceMismatch, ValueError) as error:
            log.warning(
                "the stored living reference cannot be used and is discarded",
                camera=camera,
                reason=str(error),
            )

    def text_if_due(self, stored: StoredReference | None, now: float, *, always: bool) -> str | None:
        """What `restore` goes on with, as JSON text, every SAVE_SECONDS or `always`."""
        saved_at = self._saved_at
        early = saved_at is not None and 0 <= now - saved_at < SAVE_SECONDS
        if not self._enabled or stored is None or (early and not always):
            return None
        self._saved_at = now
        return json.dumps({"reference": stored.id, "hours": self._hours.state()})

    def discard(self) -> None:
        """Another reference is in force: what was normal by the one before is not known to be."""
        self._hours.discard()

    def add(
        self, window: SampledWindow, verdict: DriftVerdict | None, stored: StoredReference | None
    ) -> None:
        """One more window, and the verdict on it, if it was judged by `stored`."""
        if not self._enabled or stored is None or verdict is None or not _can_live(stored):
            return
        self._alarm = verdict.alarm
        if not verdict.judged or verdict.end != window.sketch.end:
            return
        if verdict.alarm:
            until = verdict.start if verdict.normal_until is None else verdict.normal_until
            self._hours.doubt(window.sketch, stored.reference.usual, until)
            return
        if verdict.calm_day:
            self._hours.trust(verdict.end - DAY_SECONDS)
        if verdict.ratio < 1.0:
            self._hours.add(window.sketch, stored.reference.usual)

    def due(self, now: float) -> HourRenewal | None:
        """What is to be taken in now, if anything; nothing while an alarm is on."""
        hours = [] if self._alarm else self._hours.take(now)
        return HourRenewal(hours=hours) if hours else None


def _can_live(stored: StoredReference) -> bool:
    """Images know no hours, and an unfinished recording renews itself."""
    reference = stored.reference
    return stored.final and not reference.any_hour and reference.calibration.blocks > 0


def crept(stored: StoredReference | None) -> bool:
    """Whether a feature of the reference moved by a sigma and more, too slowly for an alarm."""
    lived = stored.lived if stored is not None else None
    return lived is not None and any(abs(each.sigmas) >= _CREPT for each in lived.creep)


def creep_observations(stored: StoredReference | None, camera: str, at: float) -> list[Observation]:
    """How far the farthest feature has crept since the anchor, for the rules; none where nothing was taken in."""
    if stored is None or stored.lived is None or not stored.lived.creep:
        return []
    lived = stored.lived
    return [
        Observation(
            metric="drift.creep_sigmas",
            value=abs(lived.creep[0].sigmas),
            at=at,
            labels={"camera": camera},
            text=sentence(lived),
            evidence={
                "since": lived.since,
                "features": {
                    each.feature: {
                        "then": float(f"{each.then:.4g}"),
                        "now": float(f"{each.now:.4g}"),
                        "sigmas": round(each.sigmas, 2),
                    }
                    for each in lived.creep
                },
            },
        )
    ]


def sentence(lived: Lived) -> str:
    """`slow change since 1 March: noise +40 % (4.2 instead of 3), confidence -0.06 (0.61 instead of 0.67)`."""
    notable = [each for each in lived.creep if abs(each.sigmas) >= _WORTH_NAMING] or lived.creep[:1]
    since = datetime.fromtimestamp(lived.since, timezone.utc)
    return f"slow change since {since.day} {since:%B}: {', '.join(_moved(each) for each in notable[:_NAMED])}"


def _moved(each: Creep) -> str:
    name, change = each.feature.replace("_", " "), each.now - each.then
    share = (
        abs(each.then) > 1.0
    )  # of a share or a coordinate, 0 to 1, the difference says more than the ratio
    by = f"{100 * change / abs(each.then):+.0f} %" if share else f"{change:+.2g}"
    return f"{name} {by} ({figures(each.now)} instead of {figures(each.then)})"
