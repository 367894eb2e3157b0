"""Simulated feature streams of a camera, seeded: autocorrelation, daily cycle, weather, and known changes.

Every feature is a stationary Gaussian process (AR(1), variance 1) plus a daily sine, plus slow weather, put
through a function that makes it look like a real feature: heavy-tailed, bounded, a count, a clipped share. Shifts
are in sigma of the AR(1) process, so that they mean the same to each kind.

    spec = StreamSpec(taus=(20.0,), daily=2.0, weather=0.3)
    stream = Stream(spec, seed=1)
    for day in range(7):
        values = stream.day()                    # (172800, 20) float32, 2 Hz
    change = Change(features=1, shift=1.0)
    values = stream.run(3600.0, change)          # the next hour, changed
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

KINDS = ("plain", "heavy", "bounded", "plain", "count", "plain", "heavy", "bounded", "plain", "clipped")
DAY = 86400.0
_COUNT_STEPS = np.array([-1.65, -0.85, -0.19, 0.38, 0.90, 1.38, 1.83, 2.26, 2.67, 3.06])  # Poisson(3) by rank


@dataclass(frozen=True)
class StreamSpec:
    """What a stream is like. `taus` are autocorrelation times in seconds, repeated over the features.

    `daily` and `weather` are in sigma; weather is an AR(1) process of `weather_tau` seconds, of its own in each
    feature, or shared by all (with a random sign each) for the part `weather_shared` of its variance.
    `phases` spreads the daily cycles: 0 all alike (with random signs), 1 anywhere in the day.
    """

    features: int = 20
    rate: float = 2.0
    taus: tuple[float, ...] = (20.0,)
    daily: float = 0.0
    weather: float = 0.0
    weather_tau: float = 7200.0
    weather_shared: float = 0.0
    phases: float = 1.0

    def tau(self, feature: int) -> float:
        """Autocorrelation time of a feature, in seconds."""
        return self.taus[feature % len(self.taus)]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, telling their kinds."""
        return tuple(f"{KINDS[i % len(KINDS)]}_{i}" for i in range(self.features))


@dataclass(frozen=True)
class Change:
    """What drifts: `shift` in sigma and `variance` as a factor, in `features` features from number `first` on.

    `signs` alternate where `alternate`, as a moved camera raises one feature and lowers another.
    """

    features: int = 1
    shift: float = 0.0
    variance: float = 1.0
    first: int = 0
    alternate: bool = True

    def columns(self, total: int) -> NDArray[np.int64]:
        """Which features change."""
        return (self.first + np.arange(self.features)) % total


class Stream:
    """One camera's features from the start of a day on; call `run` again and again for what comes next."""

    def __init__(self, spec: StreamSpec, seed: int, start: float = 0.0) -> None:
        self.spec, self.now = spec, start
        self._random = np.random.default_rng(seed)
        taus = np.array([spec.tau(i) for i in range(spec.features)])
        self._keep = np.exp(-1.0 / (spec.rate * taus))
        self._last = self._random.standard_normal(spec.features)
        self._phase = 2 * np.pi * spec.phases * self._random.random(spec.features)
        self._sign = self._random.choice([-1.0, 1.0], spec.features)
        self._weather = self._random.standard_normal(spec.features + 1)

    def reseed(self, seed: int) -> None:
        """Go on from here with other random numbers."""
        self._random = np.random.default_rng(seed)

    def forget(self) -> None:
        """Draw the state anew: another day of the same camera."""
        self._last = self._random.standard_normal(self._last.size)
        self._weather = self._random.standard_normal(self._weather.size)

    def twin(self, seed: int) -> Stream:
        """A copy that goes on from here with other random numbers."""
        other = copy.copy(self)
        other.reseed(seed)
        return other

    def day(self, change: Change | None = None) -> NDArray[np.float32]:
        """The next day."""
        return self.run(DAY, change)

    def run(self, seconds: float, change: Change | None = None) -> NDArray[np.float32]:
        """The next `seconds` as (n, features) float32, changed where `change` says so."""
        count = round(seconds * self.spec.rate)
        latent = self._autoregressive(count)
        if change is not None:
            columns = change.columns(self.spec.features)
            sign = np.where(np.arange(columns.size) % 2, -1.0, 1.0) if change.alternate else 1.0
            latent[:, columns] = latent[:, columns] * math.sqrt(change.variance) + sign * change.shift
        if self.spec.daily:
            latent += (self.spec.daily * self._cycle(count)).astype(np.float32)
        if self.spec.weather:
            latent += (self.spec.weather * self._weathered(count)).astype(np.float32)
        self.now += count / self.spec.rate
        return shaped(latent)

    def _autoregressive(self, count: int) -> NDArray[np.float32]:
        out = np.empty((count, self.spec.features), dtype=np.float32)
        for column, keep in enumerate(self._keep.astype(np.float32)):
            news = self._random.standard_normal(count, dtype=np.float32)
            state = np.array([keep * self._last[column]], dtype=np.float32)
            out[:, column], _ = lfilter(
                np.sqrt(1 - keep[None] ** 2), np.array([1, -keep], np.float32), news, zi=state
            )
        self._last = out[-1].astype(np.float64)
        return out

    def _cycle(self, count: int) -> NDArray[np.float64]:
        turn = 2 * np.pi * (self.now + np.arange(count) / self.spec.rate)[:, None] / DAY
        return self._sign * (np.sin(turn) * np.cos(self._phase) + np.cos(turn) * np.sin(self._phase))

    def _weathered(self, count: int) -> NDArray[np.float64]:
        """Weather in steps of a minute, drawn as lines between them."""
        steps = max(2, math.ceil(count / self.spec.rate / 60) + 1)
        keep = math.exp(-60 / self.spec.weather_tau)
        path = self._random.standard_normal((steps, self._weather.size)) * math.sqrt(1 - keep**2)
        path[0] = self._weather
        path, _ = lfilter([1.0], [1.0, -keep], path, axis=0, zi=np.zeros((1, self._weather.size)))
        self._weather = path[-1]
        at = np.arange(count) / self.spec.rate / 60
        below = np.minimum(at.astype(int), steps - 2)
        share = (at - below)[:, None]
        drawn = path[below] * (1 - share) + path[below + 1] * share
        own, common = math.sqrt(1 - self.spec.weather_shared), math.sqrt(self.spec.weather_shared)
        return own * drawn[:, :-1] + common * self._sign * drawn[:, -1:]


def shaped(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latent values (n, F) as the features' kinds show them, float32."""
    out = np.empty(latent.shape, dtype=np.float32)
    for column in range(latent.shape[1]):
        out[:, column] = _SHAPES[KINDS[column % len(KINDS)]](latent[:, column])
    return out


_SHAPES = {
    "plain": lambda x: 100 + 10 * x,
    "heavy": lambda x: 50 + 5 * np.sinh(1.2 * x),
    "bounded": lambda x: 1 / (1 + np.exp(-x)),
    "count": lambda x: np.searchsorted(_COUNT_STEPS, x),
    "clipped": lambda x: np.clip(0.1 * (x - 0.3), 0.0, 1.0),
}


def information_rate(shift: float, tau: float) -> float:
    """Nats a second that an AR(1) stream yields about a mean shift of `shift` sigma: d² / (4 tau)."""
    return shift**2 / (4 * tau)


def variance_information_rate(factor: float, rate: float = 2.0) -> float:
    """Nats a second about a variance `factor` times as large, when samples at `rate` Hz are seen one by one.

    Each innovation of an AR(1) process grows with the process: (f - 1 - ln f) / 2 nats a sample.
    """
    return rate * (factor - 1 - math.log(factor)) / 2


def lorden_minutes(rates: float, month: float = 30 * DAY) -> float:
    """Lorden's bound: minutes to the alarm at best, at one false alarm a month, for a total information rate.

    ln(mean time between false alarms, in units of 1 / rate) / rate. The detector that reaches it knows which
    features change, and by how much.
    """
    return math.log(month * rates) / rates / 60
