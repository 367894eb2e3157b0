"""Which frames of a camera become samples: one in each stretch of time, diverse, and beside them a random audit. Pure.

    audit      one frame of each long stretch, uniformly at random (reservoir sampling: Vitter, 1985), whatever it shows
    choice     one frame of each short stretch: for each reason the best so far waits, weighed by its distance from what
               was chosen before (greedy k-centre: Gonzalez, 1985); at the end the reason that had least goes first

A fifth of all samples is audit. A frame costs its JPEG only when it is the best so far: some log n times of n.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.maintenance.samples.sample import AUDIT

AUDIT_SHARE = 0.2
DAY = 86400.0
_REMEMBERED = 200  # chosen frames that others must differ from
_ALIKE = 0.01  # cosine distance from a chosen frame below which a frame is no news
_FEWEST_CHANCES = 0.5  # what chance alone may take from a score

Signature = NDArray[np.float32]
"""(d,) of length 1: what a frame looks like, by its embedding or else by its grey levels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pick:
    """A frame that is chosen or waits: `content` is what `make` made of it."""

    reason: str
    score: float
    signature: Signature
    content: object


class Selection:
    """One camera's. `per_day` samples a day; `reasons` those for which frames are chosen. One thread's own."""

    def __init__(self, per_day: float, reasons: tuple[str, ...], chance: random.Random) -> None:
        audit = per_day * (AUDIT_SHARE if reasons else 1.0)
        self._audit_seconds = DAY / audit
        self._choice_seconds = DAY / (per_day - audit) if reasons else float("inf")
        self._reasons, self._chance = reasons, chance
        self._audit_ends = self._choice_ends = float("-inf")
        self._seen = 0
        self._audit: Pick | None = None
        self._waiting: dict[str, Pick] = {}
        self._chosen: deque[Signature] = deque(maxlen=_REMEMBERED)
        self._had: Counter[str] = Counter()

    def add(
        self,
        now: float,
        interests: Mapping[str, float],
        signature: Signature,
        make: Callable[[], object],
        *,
        audit: bool = True,
    ) -> list[Pick]:
        """One more frame, at `now` (monotonic); the picks of the stretches that ended before it.

        With `audit` False it cannot be the one that is drawn at random.
        """
        done = self.due(now)
        self._seen += audit
        if audit and self._chance.random() * self._seen < 1.0:
            self._audit = Pick(reason=AUDIT, score=1.0, signature=signature, content=make())
        distance = self._distance(signature)
        if distance < _ALIKE:
            return done
        for reason in self._reasons:
            interest = interests.get(reason, 0.0)
            if interest <= 0.0:
                continue
            weight = _FEWEST_CHANCES + (1.0 - _FEWEST_CHANCES) * self._chance.random()
            score = interest * min(distance, 1.0) * weight
            if reason not in self._waiting or score > self._waiting[reason].score:
                self._waiting[reason] = Pick(reason=reason, score=score, signature=signature, content=make())
        return done

    def renew(self) -> None:
        """Signatures are of another kind from now on."""
        self._chosen.clear()

    def due(self, now: float) -> list[Pick]:
        """The picks of the stretches that have ended by `now`; nothing of them is left here."""
        done = []
        if now >= self._audit_ends:
            done += [self._audit] if self._audit is not None else []
            self._audit, self._seen, self._audit_ends = (
                None,
                0,
                _next(self._audit_ends, self._audit_seconds, now),
            )
        if now >= self._choice_ends:
            done += self._best()
            self._waiting, self._choice_ends = {}, _next(self._choice_ends, self._choice_seconds, now)
        return done

    def _best(self) -> list[Pick]:
        if not self._waiting:
            return []
        best = min(self._waiting.values(), key=lambda pick: (self._had[pick.reason], -pick.score))
        self._had[best.reason] += 1
        self._chosen.append(best.signature)
        return [best]

    def _distance(self, signature: Signature) -> float:
        """From the nearest of those chosen: 1 minus the cosine; 1 where nothing of its kind was chosen yet."""
        same = [one for one in self._chosen if one.size == signature.size]
        return float(1.0 - (np.stack(same) @ signature).max()) if same else 1.0


def _next(ended: float, seconds: float, now: float) -> float:
    """When the stretch ends that follows one that `ended`; after a longer pause they begin anew."""
    return ended + seconds if now < ended + seconds else now + seconds


def signature_of(values: NDArray[np.floating]) -> Signature | None:
    """`values` (d,) brought to length 1; None where they have no direction."""
    vector = np.nan_to_num(values.astype(np.float64).ravel())
    length = float(np.sqrt(vector @ vector))
    return (vector / length).astype(np.float32) if length > 0 and np.isfinite(length) else None
