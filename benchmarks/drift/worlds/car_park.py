"""A car park: each car stays where it is for minutes to a night, and its colour and shape are in the picture till then."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, World

COUNTS, SEEN, SIGMA, FLICKER = 3, 8, 0.4, 0.35
STAFF, VISITORS, RESIDENTS = (
    (9, 1, 8.0, 0.6, 8.5, 0.1),
    (40, 20, 13.0, 3.0, 0.75, 0.8),
    (4, 4, 19.0, 1.5, 12.0, 0.2),
)
"""How many come on weekdays and on other days; the hour, with its spread; the median stay in hours, with its log spread."""


class CarPark(World):
    """Each car adds 0.4 sigma (r.m.s.) to each of eight features; three counts of parked cars are now and then off by one."""

    def draw(self) -> None:
        """This place's own cars."""
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        here = self._parked(minutes)
        out[:, :SEEN] = SIGMA * here[:, COUNTS:]
        self.cars = here[:, :COUNTS]
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = np.maximum(np.rint(self.cars[:, None] + FLICKER * latent[..., -COUNTS:]), 0.0)
        return out

    def _parked(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many cars each part of the place has, and the sum of what they look like, (M, COUNTS + SEEN)."""
        out, days = np.zeros((minutes.size, COUNTS + SEEN)), minutes // DAY
        for day in np.arange(days.min() - 1, days.max() + 1):
            random, free = (
                np.random.default_rng([self.days, int(day)]),
                bool(weekend(np.array([day * DAY]))[0]),
            )
            for weekdays, others, at, spread, stay, log_spread in (STAFF, VISITORS, RESIDENTS):
                many = random.poisson(others if free else weekdays)
                comes = day * 24 + random.normal(at, spread, many)
                goes = comes + stay * np.exp(random.normal(0.0, log_spread, many))
                cars = np.hstack(
                    [np.eye(COUNTS)[random.integers(COUNTS, size=many)], random.standard_normal((many, SEEN))]
                )
                now = minutes[:, None] / 3600.0
                out += ((now >= comes) & (now < goes)) @ cars
        return out
