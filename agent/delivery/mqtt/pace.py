"""How fast messages may go: late ones as the config says, all of them as the broker's quota allows. Pure.

Laws:

1. Late messages go at the rate of the config (0: as fast as they are acknowledged), a second's worth at once at most.
2. Where the broker says "quota exceeded" (0x97), all rows go at four fifths of what it took a second of late; each
   further such answer takes a fifth of that away, once a second at most, down to one a second.
3. Each second without one adds a twentieth, until the rate is so high that there is none.
"""

from __future__ import annotations

from collections import deque

QUOTA_EXCEEDED = 0x97
MEASURED_SECONDS = 10.0
SLOWER, FASTER = 0.8, 1.05
SLOWEST, UNBOUNDED = 1.0, 1000.0
"""Messages a second."""

STEP_SECONDS = 1.0
BURST_SECONDS = 1.0  # delivery looks twice a second at least


class _Tokens:
    """Lets `rate` a second pass (0: all)."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._tokens, self._at = 1.0, 0.0

    def there(self, now: float) -> bool:
        """Whether one more may go now."""
        if self.rate <= 0:
            return True
        self._tokens = min(self._tokens + (now - self._at) * self.rate, max(self.rate * BURST_SECONDS, 1.0))
        self._at = now
        return self._tokens >= 1.0

    def take(self) -> None:
        """One goes."""
        self._tokens -= 1.0

    def slow_down(self, rate: float, now: float) -> None:
        """From now on `rate`, without what was saved up."""
        self.rate, self._tokens, self._at = rate, 0.0, now


class SendPace:
    """`backlog_rate` is that of late messages, 0: all. `now` is boot time."""

    def __init__(self, backlog_rate: float = 0.0) -> None:
        self._late, self._all = _Tokens(backlog_rate), _Tokens(0.0)
        self._taken: deque[float] = deque(maxlen=int(UNBOUNDED * MEASURED_SECONDS))
        self._slowed_at = self._changed_at = 0.0

    @property
    def rate(self) -> float:
        """Messages a second that the broker's quota is taken to allow; 0: no bound."""
        return self._all.rate

    def passes(self, now: float, *, late: bool) -> bool:
        """Whether one more may go now; then it counts."""
        self._speed_up(now)
        if not self._all.there(now) or (late and not self._late.there(now)):
            return False
        self._all.take()
        if late:
            self._late.take()
        return True

    def answered(self, code: int, now: float) -> bool:
        """Take in the code of one answer; whether a bound begins with it."""
        if code != QUOTA_EXCEEDED:
            if code < 0x80:
                self._taken.append(now)
            return False
        if self.rate and now - self._slowed_at < STEP_SECONDS:
            return False
        before, measured = (
            self.rate,
            sum(now - at <= MEASURED_SECONDS for at in self._taken) / MEASURED_SECONDS,
        )
        self._all.slow_down(max(SLOWER * (before or measured), SLOWEST), now)
        self._slowed_at = self._changed_at = now
        return not before

    def _speed_up(self, now: float) -> None:
        while self.rate and now - self._changed_at >= STEP_SECONDS:
            self._changed_at += STEP_SECONDS
            faster = self.rate * FASTER
            self._all.rate = faster if faster < UNBOUNDED else 0.0
