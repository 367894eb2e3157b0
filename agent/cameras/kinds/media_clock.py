"""The time of a source's frames, growing over a file's joined parts and rounds, and when each is due.

Laws
----
1. The time of a frame is its stamp less the first one's. That of a live source is taken as it is: whether its stamps
   can be believed is for the camera's health to judge.
2. The time of a file grows: where its stamps leap back (joined segments, a new round), a frame comes one step after
   the last.
3. A format whose stamps may start anew at any place (MPEG-TS) leaps forward, too: more than LEAP_SECONDS is a new
   part and no pause. In any other format it is a pause of that length.
"""

from __future__ import annotations

LEAP_SECONDS = 10.0  # as FFmpeg's own tools decide


class MediaClock:
    """Media time of one source; belongs to one thread.

    `frames` counts those of this round, `position` is the time of the last one within it, `step` what passed before it.
    """

    def __init__(self, *, live: bool) -> None:
        self.frames = 0
        self.step = 0.0
        self._live = live
        self._time = self._began = 0.0
        self._last: float | None = None
        self._anchor: float | None = None

    @property
    def position(self) -> float:
        """Seconds from the first frame of this round to the last one."""
        return self._time - self._began

    def tick(self, stamp: float | None, *, restarts: bool = False) -> float | None:
        """The time of the frame with `stamp` (seconds); `restarts`: the format's stamps may start anew (law 3)."""
        self.frames += 1
        if stamp is None:
            return None
        passed = 0.0 if self._last is None else stamp - self._last
        if not self._live and (passed < 0.0 or (restarts and passed > LEAP_SECONDS)):
            passed = self.step
        elif passed > 0.0:
            self.step = passed
        self._last, self._time = stamp, self._time + passed
        return self._time

    def rewind(self) -> None:
        """A new round begins: its first frame comes one step after the last."""
        self._time += self.step
        self._began, self._last, self.frames = self._time, None, 0

    def due_in(self, media: float, now: float) -> float:
        """Seconds until the frame of `media` is due; one over a second late starts the count anew."""
        if self._anchor is None or now - (self._anchor + media) > 1.0:
            self._anchor = now - media
        return self._anchor + media - now
