"""The governor: measures how busy the model is, and holds it back while the box is too hot.

The scheduler reports each run to it and asks when the next may begin; once a second the service hands it what
telemetry measured. How fast is right is decided in `pace`; here are the clock, the lock and the journal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import structlog

from agent.core import clock
from agent.core.types import Observation
from agent.detection.thermal.pace import STEP_SECONDS, ModelPace, feel, follow

log = structlog.get_logger("vedette.detection")


class Governor:
    """`limit_celsius` is the temperature over which the model runs less; 0: never. Any thread may call."""

    def __init__(
        self,
        limit_celsius: float,
        clock: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._limit_celsius, self._clock = limit_celsius, clock
        self._lock = threading.Lock()
        self._pace = ModelPace()
        self._rest_until = 0.0
        self._since_step, self._since_window = _Busy(clock()), _Busy(clock())
        self._lowest = ModelPace()

    @property
    def pace(self) -> ModelPace:
        """How fast the model may run now, and why."""
        return self._pace

    @property
    def busy(self) -> float:
        """The share of the last seconds that the model ran, 0..1."""
        with self._lock:
            return self._since_step.share(self._clock())

    def ran(self, started: float, seconds: float, abreast: int = 1) -> None:
        """The model ran for `seconds` from `started` (monotonic seconds) on, in one of `abreast` lanes."""
        with self._lock:
            self._since_step.seconds += seconds / abreast
            self._since_window.seconds += seconds / abreast
            self._rest_until = started + seconds / self._pace.limit

    def rest_seconds(self) -> float:
        """For how long the model must still rest; 0 at full speed."""
        return 0.0 if self._pace.full else max(0.0, self._rest_until - self._clock())

    def heed(self, observations: Iterable[Observation], at: float) -> list[Observation]:
        """Follow what telemetry measured; what the rules should know, observed `at` (Unix time)."""
        heat = feel(observations, self._limit_celsius)
        now = self._clock()
        with self._lock:
            before = self._pace
            self._pace = after = follow(before, heat, self._since_step.share(now), now)
            if now - self._since_step.since >= STEP_SECONDS:
                self._since_step = _Busy(now)
            if after.limit < self._lowest.limit:
                self._lowest = after
        _say(before, after)
        return [
            Observation(metric="host.model_busy_limit_ratio", value=after.limit, at=at, text=after.reason)
        ]

    def take_window(self) -> Mapping[str, float | str]:
        """Fields of the host's summary since the last call: how busy the model was, the lowest limit, and why."""
        now = self._clock()
        with self._lock:
            busy, self._since_window = self._since_window.share(now), _Busy(now)
            lowest, self._lowest = self._lowest, self._pace
        fields: dict[str, float | str] = {
            "model_busy_ratio": round(busy, 4),
            "model_busy_limit_ratio": round(lowest.limit, 4),
        }
        return fields | ({"model_slowed_reason": lowest.reason} if lowest.reason else {})


class _Busy:
    """For how long the model ran since a moment."""

    def __init__(self, since: float) -> None:
        self.since, self.seconds = since, 0.0

    def share(self, now: float) -> float:
        return min(1.0, self.seconds / max(now - self.since, 1e-9))


def _say(before: ModelPace, after: ModelPace) -> None:
    if after.limit < before.limit:
        log.warning(
            "too hot: the model runs less often", busy_limit=round(after.limit, 2), reason=after.reason
        )
    elif after.full and not before.full:
        log.info("cool again: the model runs at full speed")
