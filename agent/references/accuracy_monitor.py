"""Accuracy on one camera, estimated without labels: when frames are examined, and the last estimate.

While nothing drifts, a few frames every CALM_SECONDS: they are what a drift is measured by. While something does, a few
of each window.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core.types import Image
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.accuracy import HOLDS_SECONDS, Estimate
from agent.drift.diagnosis.diagnose import Diagnosis
from agent.references.accuracy_estimator import Glance

CALM_SECONDS = 600.0
Ask = Callable[[Glance], None]


class AccuracyMonitor:
    """Belongs to the analyst's thread; `most` frames are looked at together, and handed to `ask`."""

    def __init__(self, camera: str, most: int, ask: Ask) -> None:
        self._camera, self._most, self._ask = camera, most, ask
        self._images: list[Image] = []
        self._calm, self._next = True, 0.0
        self._cause: Diagnosis | None = None
        self._last: Estimate | None = None
        self._last_at = 0.0

    def wants(self, at: float) -> bool:
        """Whether a frame of that time (Unix) is to be looked at."""
        return not 0 < self._next - at <= CALM_SECONDS

    def add(self, at: float, image: Image) -> None:
        """A small frame that was looked at."""
        if self._images and self._images[0].shape != image.shape:
            self._images = []
        self._images.append(image)
        if len(self._images) >= self._most:
            known = self._cause if self._cause is not None and self._cause.cause in CAUSES else None
            self._ask(
                Glance(
                    camera=self._camera,
                    images=tuple(self._images),
                    calm=self._calm,
                    explained=known is not None,
                    found=known.found_ratio if known is not None else None,
                )
            )
            self._images, self._next = [], at + (CALM_SECONDS if self._calm else 0.0)

    def window(self, *, calm: bool, cause: Diagnosis | None) -> None:
        """A window was judged: frames are of a calm time, or of a drift by `cause`; a change is looked at at once."""
        self._cause = cause
        if calm != self._calm:
            self._calm, self._images, self._next = calm, [], 0.0

    def estimated(self, estimate: Estimate, now: float) -> None:
        """What came of it."""
        self._last, self._last_at = estimate, now

    def clear(self) -> None:
        """The frames that may be kept are others: what was looked at is of another view."""
        self._images, self._last, self._next = [], None, 0.0

    def last(self, now: float) -> Estimate | None:
        """The last estimate, while it holds."""
        return self._last if 0 <= now - self._last_at < HOLDS_SECONDS else None


def estimate_fields(found: Estimate | None) -> dict[str, object]:
    """The fields of a camera's summary; the trust alone where nothing can be told."""
    if found is None:
        return {}
    if not found.told:
        return {"accuracy_estimate_trust": round(found.trust, 2)}
    return {
        "accuracy_estimate_ratio": round(found.ratio, 3),
        "accuracy_estimate_low_ratio": round(found.low, 3),
        "accuracy_estimate_high_ratio": round(found.high, 3),
        "accuracy_estimate_trust": round(found.trust, 2),
    }


def rounded_fields(found: Estimate | None) -> dict[str, object]:
    """The same in steps of 0.05, for what is published where it changed; null where there is no estimate, or but for
    its trust, where nothing can be told."""
    names = ("ratio", "low_ratio", "high_ratio", "trust")
    values: tuple[float | None, ...] = (None,) * 4
    if found is not None:
        told = (found.ratio, found.low, found.high) if found.told else (None,) * 3
        values = (*told, found.trust)
    return {
        f"accuracy_estimate_{name}": None if value is None else round(round(20 * value) / 20, 2)
        for name, value in zip(names, values, strict=True)
    }
