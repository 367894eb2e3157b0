"""A camera's world: 24 features of fast noise (AR(1)), a level that moves, and a form that each value takes.

The steady world is this class itself. Another world overrides `level` (what moves, in sigma, minute by minute) and
`form` (how latent values look as features). Times are Unix times; every world is seeded and goes on where it stopped.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from agent.drift.normal import score_of
from benchmarks.drift.streams import DAY, Change

MINUTE = 60.0
FEATURES = 24
NAMES = tuple(f"feature_{number:02d}" for number in range(FEATURES))
FIRST_DAY = 20_717 * DAY
"""A Monday, 2026-09-21."""

_MOST_COUNTED = 20


class World:
    """Nothing moves: plain features. `rate` samples a second, autocorrelation time `tau` seconds."""

    tau = 20.0

    def __init__(self, seed: int, rate: float = 2.0, start: float = FIRST_DAY) -> None:
        self.now, self.rate = start, rate
        self.random = np.random.default_rng(seed)
        self._last = self.random.standard_normal(FEATURES).astype(np.float32)
        self.draw()

    def draw(self) -> None:
        """Draw what is this camera's own: phases, signs, amplitudes."""

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where each feature is in the minutes that begin at `minutes` (M,), in sigma of its fast noise: (M, F)."""
        return np.zeros((minutes.size, FEATURES))

    def form(self, latent: NDArray[np.float32], _minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Latent values (M, n, F) of the minutes that begin at `minutes` as features show them."""
        return 100.0 + 10.0 * latent

    def sampled(self, minutes: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many samples of each minute the camera delivers, (M,): all of them."""
        return np.full(minutes.size, self.per_minute)

    @staticmethod
    def utc_offset(_moment: float) -> float:
        """Seconds that local time is ahead of UTC."""
        return 0.0

    def twin(self, seed: int) -> World:
        """A copy that goes on from here with other random numbers."""
        other = copy.deepcopy(self)
        other.random = np.random.default_rng(seed)
        return other

    @property
    def per_minute(self) -> int:
        """Samples in a minute."""
        return round(MINUTE * self.rate)

    def run(self, minutes: int, change: Change | None = None) -> NDArray[np.float32]:
        """The next minutes' values (minutes * per_minute, F), changed where `change` says so."""
        if not minutes:
            return np.empty((0, FEATURES), dtype=np.float32)
        began = self.now + MINUTE * np.arange(minutes, dtype=np.float64)
        latent = self._noise(minutes * self.per_minute)
        if change is not None:
            columns = change.columns(FEATURES)
            sign = np.where(np.arange(columns.size) % 2, -1.0, 1.0) if change.alternate else 1.0
            latent[:, columns] = latent[:, columns] * math.sqrt(change.variance) + sign * change.shift
        latent = latent.reshape(minutes, self.per_minute, FEATURES)
        latent += self.level(began).astype(np.float32)[:, None]
        self.now += MINUTE * minutes
        return self.form(latent, began).astype(np.float32).reshape(-1, FEATURES)

    def _noise(self, count: int) -> NDArray[np.float32]:
        keep = np.float32(math.exp(-1.0 / (self.rate * self.tau)))
        news = self.random.standard_normal((count, FEATURES), dtype=np.float32) * np.sqrt(1 - keep**2)
        out, _ = lfilter(
            np.ones(1, np.float32),
            np.array([1, -keep], np.float32),
            news,
            axis=0,
            zi=(keep * self._last)[None],
        )
        self._last = out[-1].copy()
        return np.asarray(out, dtype=np.float32)


def wandering(random: np.random.Generator, last: NDArray, count: int, minutes: float) -> NDArray[np.float64]:
    """An AR(1) process of variance 1 and time constant `minutes`, (count, n), that went on from `last` (n,)."""
    keep = math.exp(-1.0 / minutes)
    news = random.standard_normal((count, last.size)) * math.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], news, axis=0, zi=(keep * last)[None])[0])


def hour(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hour of the day (UTC), 0..24."""
    return (minutes % DAY) / 3600.0


def daylight(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How busy the day is: 0 from 18 to 6 h, 1 at noon."""
    return np.clip(np.sin(2 * np.pi * (hour(minutes) - 6) / 24), 0.0, None)


def counted(latent: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float32]:
    """Poisson counts of `mean` (M,) or (M, n) for latent normal values (M, s, n): the same rank in each."""
    mean = mean.reshape(len(mean), 1, -1)
    term, below, out = np.exp(-mean), np.exp(-mean), np.zeros(latent.shape, np.float32)
    for number in range(1, _MOST_COUNTED):
        out += latent > np.where(mean > 0, score_of(below), np.inf)
        term = term * mean / number
        below = below + term
    return out
