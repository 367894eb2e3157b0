"""Which frames of a camera become samples: one in each stretch of time, diverse, and beside them a random audit. Pure.

    audit      one frame of each long stretch, uniformly at random (reservoir sampling: Vitter, 1985), whatever it shows
    choice     one frame of each short stretch: for each reason the best so far waits, weighed by its distance from what
               was chosen before (greedy k-centre: Gonzalez, 1985); at the end the reason that had least goes first

Distances count by what is typical of this camera, that of a frame from a random one: embeddings of a fixed camera lie
within a hundredth of each other, grey levels ten times as far apart.
A fifth of all samples is audit. A frame costs its JPEG only when it is the best so far: some log n times of n.
"""

from __future__ import annotations

import math
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
_ALIKE = 0.1  # of what is typical: so near to a chosen frame, a frame is no news
_LEAST_ALIKE = 1e-4  # cosine distance: sensor noise alone
_TYPICAL_SHARE = 0.01  # what one frame adds to what is typical
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
        self._typical = math.nan

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
        self._learn(signature)
        self._seen += audit
        if audit and self._chance.random() * self._seen < 1.0:
            self._audit = Pick(reason=AUDIT, score=1.0, signature=signature, content=make())
        difference = self._difference(signature)
        if difference < _ALIKE:
            return done
        for reason in self._reasons:
            interest = interests.get(reason, 0.0)
            if interest <= 0.0:
                continue
            weight = _FEWEST_CHANCES + (1.0 - _FEWEST_CHANCES) * self._chance.random()
            score = interest * difference * weight
            if reason not in self._waiting or score > self._waiting[reason].score:
                self._waiting[reason] = Pick(reason=reason, score=score, signature=signature, content=make())
        return done

    def renew(self) -> None:
        """Signatures are of another kind from now on."""
        self._chosen.clear()
        self._typical = math.nan

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

    def _learn(self, signature: Signature) -> None:
        """Learn what is typical: the distance from the frame that was drawn at random."""
        drawn = self._audit.signature if self._audit is not None else None
        if drawn is not None and drawn.size == signature.size:
            distance = float(1.0 - drawn @ signature)
            before = self._typical if math.isfinite(self._typical) else distance
            self._typical = before + _TYPICAL_SHARE * (distance - before)

    def _difference(self, signature: Signature) -> float:
        """How different it is from the nearest of those chosen: 0 if hardly, 1 if as two frames typically are."""
        same = [one for one in self._chosen if one.size == signature.size]
        if not same:
            return 1.0
        distance = float(1.0 - (np.stack(same) @ signature).max())
        if distance < _LEAST_ALIKE:
            return 0.0
        return min(1.0, distance / self._typical) if self._typical > 0 else 1.0


def _next(ended: float, seconds: float, now: float) -> float:
    """When the stretch ends that follows one that `ended`; after a longer pause they begin anew."""
    return ended + seconds if now < ended + seconds else now + seconds


def signature_of(values: NDArray[np.floating]) -> Signature | None:
    """`values` (d,) brought to length 1; None where they have no direction."""
    vector = np.nan_to_num(values.astype(np.float64).ravel())
    length = float(np.sqrt(vector @ vector))
    return (vector / length).astype(np.float32) if length > 0 and np.isfinite(length) else None
