"""Signals of the model on some frames, from which its accuracy is estimated without labels. Pure.

An overexposed frame makes a model find other things, with high scores, and the same in the mirror image: bottles become
kites. So the classes that are found are counted, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.core.types import Detections
from agent.detection.matching import BoxMatches, match_boxes
from agent.drift.diagnosis.accuracy import NO_FAULT, Trials
from agent.features.confidence import NEAR

_SOME = 0.2  # boxes a frame, so that none has a logarithm
_PARTS_CHANGED = 3
LEAST_FRAMES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What the model found on a frame, and on its mirror image, turned back."""

    plain: Detections
    mirrored: Detections


def turned_back(found: Detections, width: int) -> Detections:
    """Detections on a mirror image, as if on the image of that width."""
    boxes = found.boxes.copy()
    boxes[:, [0, 2]] = width - found.boxes[:, [2, 0]]
    return replace(found, boxes=boxes)


def f1_of(clean: Sequence[Detections], seen: Sequence[Detections]) -> float:
    """F1 of detections by those on the same frames as they were; NaN where there are none of either."""
    total = sum((match_boxes(a, (), b, ()) for a, b in zip(clean, seen, strict=True)), BoxMatches())
    found = total.f1(1)
    return float("nan") if found is None else found


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualBoxes:
    """What is found where nothing drifts: `boxes` a frame, and how many there were of each class (by its number)."""

    boxes: float
    classes: Mapping[int, int]

    def with_more(self, seen: Iterable[Seen]) -> UsualBoxes:
        """With the classes of more frames on which nothing drifted."""
        more = class_counts(each.plain for each in seen)
        return UsualBoxes(boxes=self.boxes, classes=Counter(self.classes) + more)

    def share(self, now: Mapping[int, int]) -> float:
        """The share of boxes (`now`, by class) that can be what is usual, 0..1; 1 where there are none.

        >>> Usual(boxes=4.0, classes={0: 3, 1: 1}).share({0: 75, 1: 25}), Usual(boxes=4.0, classes={0: 4}).share({})
        (1.0, 1.0)
        >>> Usual(boxes=4.0, classes={0: 3, 1: 1}).share({1: 5, 2: 5})
        0.25
        """
        then, total = sum(self.classes.values()), sum(now.values())
        if not total:
            return 1.0
        return sum(min(n / total, self.classes.get(kind, 0) / max(then, 1)) for kind, n in now.items())


def class_counts(seen: Iterable[Detections]) -> Counter[int]:
    """How many boxes of each class there are."""
    return Counter(int(kind) for each in seen for kind in each.class_ids)


def signals_of(frames: Sequence[Seen], usual: UsualBoxes) -> NDArray[np.float64]:
    """SIGNALS (S,) of at least one frame."""
    plain = [each.plain for each in frames]
    matches = sum((match_boxes(each.plain, (), each.mirrored, ()) for each in frames), BoxMatches())
    scores = np.concatenate([each.scores for each in plain])
    threshold, number = plain[0].threshold, len(scores)
    candidates = sum(each.candidates for each in plain)
    return np.array(
        [
            2 * matches.pairs / matches.boxes if matches.boxes else 0.0,
            2 * matches.pairs / (matches.boxes + 2 * usual.boxes * len(frames) + 1e-9),
            float(scores.mean()) if number else threshold,
            float((scores < threshold + NEAR).mean()) if number else 1.0,
            max(0.0, 1 - number / candidates) if candidates else 0.0,
            np.log(number / len(frames) + _SOME),
            sum(not len(each) for each in plain) / len(frames),
            usual.share(class_counts(plain)),
        ]
    )


class TrialBook:
    """Gathers trials on frames that the model found `clean` on as they were, LEAST_FRAMES and more."""

    def __init__(self, clean: Sequence[Seen]) -> None:
        self._clean = clean
        classes = class_counts(each.plain for each in clean)
        self._usual = UsualBoxes(boxes=sum(classes.values()) / len(clean), classes=classes)
        self._parts = _parts(len(clean))
        self._before = [self._signals(clean, part) for part in self._parts]
        self._rows: list[tuple[str, NDArray[np.float64], float]] = [
            (NO_FAULT, each - self._before[0], 1.0) for each in self._before[1:]
        ]

    def add(self, cause: str, seen: Sequence[Seen]) -> None:
        """What the model found on these frames with a cause applied."""
        for part, before in zip(self._parts[:_PARTS_CHANGED], self._before, strict=False):
            found = f1_of([self._clean[i].plain for i in part], [seen[i].plain for i in part])
            if np.isfinite(found):
                self._rows.append((cause, self._signals(seen, part) - before, found))

    def result(self) -> Trials:
        """All trials so far."""
        causes, signals, f1 = zip(*self._rows, strict=True)
        return Trials(
            model=self._clean[0].plain.model,
            causes=causes,
            signals=np.array(signals),
            f1=np.array(f1),
            base=self._before[0],
            frames=len(self._clean),
            classes=self._usual.classes,
        )

    def _signals(self, seen: Sequence[Seen], part: Sequence[int]) -> NDArray[np.float64]:
        return signals_of([seen[i] for i in part], self._usual)


def _parts(frames: int) -> list[list[int]]:
    """All frames, every second one and the others; then further halves, which have other objects in view."""
    everyone = list(range(frames))
    random = np.random.default_rng(1)
    others = [sorted(random.choice(frames, frames // 2, replace=False).tolist()) for _ in range(8)]
    return [
        everyone,
        everyone[::2],
        everyone[1::2],
        everyone[: frames // 2],
        everyone[frames // 2 :],
        *others,
    ]
