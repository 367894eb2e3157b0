"""Judges a camera's frame rate and time stamps.

Laws
----
1. The rate is counted over buckets of 5 s; the rate expected is the median of the last two minutes' buckets,
   learnt only while the camera is not slow. A burst after a hiccup is one bucket, and the median ignores it.
2. Slow: below 0.4 of the expected rate (a camera that halves its rate for night exposures is not slow).
3. A time stamp is broken that does not advance, or that leaps by 5 s more than the clock did. One is an
   accident; three within 30 s are a fault.
4. Slow as well, and from the first bucket on: fewer seconds of video come (by its time stamps) than pass. A network
   that carries less than the stream needs delivers every frame, later and later.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

BUCKET_SECONDS = 5.0
LEARNT_BUCKETS = 24
FEWEST_BUCKETS = 4  # nothing is expected before 20 s have been seen
SLOW_RATIO = 0.4
WELL_RATIO = 0.6
# Seconds of video a second: real streams 0.97..1.03 in a bucket; a hiccup is made up for in the next one.
LAGGING_RATIO, TIMELY_RATIO = 0.75, 0.9
LEAP_SECONDS = 5.0
BREAKS = 3
BREAK_MEMORY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class TimingReport:
    """How frames came lately: frames a second now and expected, broken time stamps, seconds of video a second.

    `progress` is None where it cannot be derived from the time stamps.
    """

    fps: float | None
    expected_fps: float | None
    breaks: int
    progress: float | None = None

    @property
    def slow(self) -> bool | None:
        """Whether frames come too seldom or fall behind; None in between, where nothing changes."""
        rate = self.fps / self.expected_fps if self.fps and self.expected_fps else 1.0
        progress = 1.0 if self.progress is None else self.progress
        if rate < SLOW_RATIO or progress < LAGGING_RATIO:
            return True
        return False if rate > WELL_RATIO and progress > TIMELY_RATIO else None

    @property
    def words(self) -> str:
        """The rate in words, for a state's reason."""
        if self.progress is not None and self.progress < TIMELY_RATIO:
            return (
                f"{BUCKET_SECONDS * self.progress:.1f} s of video came in {BUCKET_SECONDS:.0f} s: "
                "the network, the camera or this box is too slow for it"
            )
        return f"{self.fps or 0:.1f} frames a second, normally {self.expected_fps or 0:.1f}"

    @property
    def broken(self) -> bool:
        """Whether the time stamps are not to be believed."""
        return self.breaks >= BREAKS


class FrameTiming:
    """Counts frames and checks their time stamps; belongs to one thread, is given the time."""

    def __init__(self) -> None:
        self._learnt: deque[float] = deque(maxlen=LEARNT_BUCKETS)
        self._breaks: deque[float] = deque(maxlen=BREAKS * 2)
        self._since: float | None = None
        self._count = 0
        self._fps: float | None = None
        self._last: tuple[float, float] | None = None
        self._judged = self._progress_judged = True
        self._began: float | None = None  # the media time at which the bucket began; None: unknown
        self._progress: float | None = None

    def reopened(self) -> None:
        """Start a new connection: drop what is half counted, keep what was learnt."""
        self._since, self._count, self._fps, self._last = None, 0, None, None
        self._began, self._progress = None, None
        self._breaks.clear()

    def relearn_rate(self) -> None:
        """Take the rate from now on for the normal one."""
        self._learnt.clear()
        if self._progress is not None and self._progress < TIMELY_RATIO:
            self._progress_judged, self._progress = False, None

    def ignore_stamps(self) -> None:
        """Judge time stamps no more: this camera's are known to be broken, and that was published."""
        self._judged = False
        self._breaks.clear()

    def tick(self, now: float, media: float | None) -> None:
        """A frame came at `now` (monotonic) with the time stamp `media`."""
        if media is not None and self._judged:
            if self._last is not None and _broken(now - self._last[0], media - self._last[1]):
                self._breaks.append(now)
                self._began = None
            self._last = (now, media)
        if self._since is None:
            self._since, self._began = now, media
            return
        self._count += 1
        if now - self._since >= BUCKET_SECONDS:
            self._fps = self._count / (now - self._since)
            self._progress = self._progressed(now - self._since, media)
            self._since, self._count, self._began = now, 0, media
            if self.pace(now).slow is False:
                self._learnt.append(self._fps)

    def _progressed(self, seconds: float, media: float | None) -> float | None:
        if media is None or self._began is None or not (self._judged and self._progress_judged):
            return None
        return (media - self._began) / seconds

    def pace(self, now: float) -> TimingReport:
        """The report at `now`."""
        expected = statistics.median(self._learnt) if len(self._learnt) >= FEWEST_BUCKETS else None
        recent = sum(1 for at in self._breaks if now - at <= BREAK_MEMORY_SECONDS)
        return TimingReport(self._fps, expected, recent, self._progress)


def _broken(passed: float, media_passed: float) -> bool:
    return media_passed <= 0.0 or media_passed - passed > LEAP_SECONDS
