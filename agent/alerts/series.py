"""What a rate and a burn remember of a series: a few samples over their window, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.alerts.expression import compare

SAMPLES = 60  # a window is remembered in at most this many steps


class RateSeries:
    """Change per second of a number over the last `over` seconds."""

    def __init__(self, over: float, *, counter: bool) -> None:
        self._over, self._counter = over, counter
        self._samples: deque[tuple[float, float]] = deque()  # (at, value), a counter's resets taken out
        self._last: tuple[float, float] | None = None
        self._offset = 0.0

    def add(self, value: float, at: float) -> None:
        """Take note of `value`; a counter that falls was reset, and goes on from there."""
        if self._last is not None and at <= self._last[0]:
            return
        if self._counter and self._last is not None and value + self._offset < self._last[1]:
            self._offset = self._last[1]
        self._last = (at, value + self._offset)
        if not self._samples or at - self._samples[-1][0] >= self._over / SAMPLES:
            self._samples.append(self._last)
        while len(self._samples) > 1 and self._samples[1][0] <= at - self._over:
            self._samples.popleft()

    def rate(self) -> float | None:
        """Change per second between the oldest sample and the last; None before there are two."""
        if self._last is None or self._last[0] <= self._samples[0][0]:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._last
        # A young series is judged as if nothing had changed before: one step is no trend yet.
        return (last - first) / max(last_at - first_at, self._over)

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`."""
        self._samples = deque((at + seconds, value) for at, value in self._samples)
        if self._last is not None:
            self._last = (self._last[0] + seconds, self._last[1])

    def to_json(self) -> list[Any]:
        """The samples, the last one included, as plain JSON values."""
        kept = [list(sample) for sample in self._samples]
        return kept + ([list(self._last)] if self._last and self._last != self._samples[-1] else [])

    def restore(self, samples: Iterable[Any]) -> None:
        """Take note of what `to_json` wrote."""
        for at, value in samples:
            self.add(float(value), float(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """How fast an error budget burns: `times` 1 spends exactly what the objective allows.

    `times` is the smaller of the two windows', `bad` the share of bad frames over the long one.
    """

    times: float
    bad: float
    long_seconds: float
    short_seconds: float


class BurnSeries:
    """Error budget burnt over a long window and its last twelfth: both must burn for an alert.

    The long window makes it significant, the short one makes it end soon after the trouble ended (Google,
    The Site Reliability Workbook, chapter 5, "Multiwindow, multi-burn-rate alerts").
    """

    def __init__(
        self, objective: float, over: float, *, target: float | None = None, comparison: str = ">"
    ) -> None:
        self._objective, self._long, self._short = objective, over, over / 12
        self._target, self._comparison = target, comparison
        self._buckets: deque[list[float]] = deque()  # [start, bad, all]

    def add(self, value: float, weight: float, at: float) -> None:
        """A share of bad frames among `weight` frames or, with a target, one measurement to hold to it."""
        bad = float(compare(value, self._comparison, self._target)) if self._target is not None else value
        if not self._buckets or at - self._buckets[-1][0] >= self._short / 10:
            self._buckets.append([at, 0.0, 0.0])
        self._buckets[-1][1] += bad * weight
        self._buckets[-1][2] += weight
        while self._buckets and self._buckets[0][0] <= at - self._long:
            self._buckets.popleft()

    def burn(self, now: float) -> Burn | None:
        """How fast the budget burns; None before the long window is half known."""
        if not self._buckets or now - self._buckets[0][0] < self._long / 2:
            return None
        long, short = self._share(now - self._long), self._share(now - self._short)
        if long is None or short is None:
            return None
        times = min(long, short) / (1 - self._objective)
        return Burn(times=times, bad=long, long_seconds=self._long, short_seconds=self._short)

    def _share(self, since: float) -> float | None:
        kept = [bucket for bucket in self._buckets if bucket[0] > since]
        total = sum(bucket[2] for bucket in kept)
        return sum(bucket[1] for bucket in kept) / total if total else None

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`."""
        for bucket in self._buckets:
            bucket[0] += seconds

    def to_json(self) -> list[Any]:
        """The buckets as plain JSON values."""
        return [list(bucket) for bucket in self._buckets]

    def restore(self, buckets: Iterable[Any]) -> None:
        """Take back what `to_json` wrote."""
        self._buckets.extend([float(number) for number in bucket] for bucket in buckets)
