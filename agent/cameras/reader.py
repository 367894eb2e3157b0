"""Reads one camera for as long as the agent runs: connects, delivers frames, publishes its state, reconnects.

::

    STARTING ──first frame──▶ ONLINE ◀──▶ FROZEN, BLACK, ... (health, by content)
        │                       │
        └───────failure────▶ DOWN ──first frame──▶ ONLINE      every failure is retried, by its kind
                                │
    a file's end ──▶ ENDED      └ a file played once that is damaged: DOWN for good, `run` returns

Laws:

1. Each change of state is published once and logged once; retries that change nothing are counted, not logged.
2. No frame within `stall_timeout` is a stall, whatever the camera's thread is doing; a thread that does not
   come back is left alone, and the camera is not opened again before it has. A source that is slow by nature has
   longer: GAPS_OF_PATIENCE of its usual gaps between frames. While the camera itself reports a good reason to wait (a
   key frame, a pause in a file), it is no stall, and the status says what is waited for.
3. A frame is handed on or it is counted: nothing is invented for one that could not be read.
"""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import structlog

from agent.cameras import Camera
from agent.cameras.backoff import BackoffState, after_failure
from agent.cameras.connection import Feed
from agent.cameras.fps_limit import FpsLimiter
from agent.cameras.health.inspector import Inspector
from agent.cameras.health.judge import HealthVerdict
from agent.cameras.privacy import PrivacyMasks
from agent.config.render import toml_value
from agent.config.schema import CameraSettings
from agent.core import clock
from agent.core.camera_states import CONTENT_FAULTS, STATES
from agent.core.errors import CameraError, CameraFailure
from agent.core.frame_slots import FrameSlots
from agent.core.scope import WHOLE
from agent.core.types import CameraState, CameraStatus, Frame
from agent.core.worker import Worker

WATCH_SECONDS = 0.25
# Opening may take twice the longest `timeout` (20 s) of a kind: FFmpeg connects, then probes the stream.
OPENING_SECONDS = 45.0
CLOSING_SECONDS = 1.0
GAPS_OF_PATIENCE = 3.0
NOTE_LOGGED_SECONDS = 5.0
REMIND_SECONDS = 600.0

_NOTED = frozenset({CameraState.STARTING, CameraState.DOWN, CameraState.ONLINE})

log = structlog.get_logger("vedette.cameras")


@runtime_checkable
class LossyCamera(Protocol):
    """A camera that discards damaged frames and counts them."""

    def take_failed(self) -> int:
        """How many, since the last call."""


@runtime_checkable
class ChoosyCamera(Protocol):
    """A camera that makes no image of a frame that nobody wants."""

    wants: Callable[[float], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderCounts:
    """Frames received, damaged frames discarded, reconnects, frames left out for `max_fps`."""

    seen: int = 0
    failed: int = 0
    reconnects: int = 0
    skipped: int = 0


class Reader(Worker):
    """The part that reads one camera.

    `status` is the last one reported, None before the first; `finished` is set once the source is at its end for good,
    never because the reader was stopped. Both may be read by any thread, and `scope`, which goes with each frame, be
    replaced.
    """

    def __init__(
        self,
        camera: Camera,
        settings: CameraSettings,
        slots: FrameSlots,
        on_status: Callable[[CameraStatus], None],
    ) -> None:
        super().__init__(f"camera-{settings.name}")
        self._camera, self._settings, self._slots, self._on_status = camera, settings, slots, on_status
        self._lossless = bool(getattr(camera, "lossless", False))
        self._finite = bool(getattr(camera, "finite", False))
        self._period = float(getattr(camera, "period", 0.0))
        self._take_failed = camera.take_failed if isinstance(camera, LossyCamera) else None
        self.scope = settings.scope
        self._privacy = PrivacyMasks(settings.privacy_masks)
        self._inspector = Inspector(by_media=self._lossless)
        self._lock = threading.Lock()  # guards the counts, the status and which feed is current
        self._counts = ReaderCounts()
        self.status: CameraStatus | None = None
        self._reason = ""  # of the state; a note of what is waited for may stand in its place
        self.note = ""  # and one that others make; any thread may replace it
        self._untold = ""  # what health cannot tell, and why
        self._light = ""
        self.finished = False
        self._feed: Feed | None = None
        self._hanging: Feed | None = None
        self._backoff = BackoffState()
        self._limiter = FpsLimiter(settings.max_fps)
        if isinstance(camera, ChoosyCamera) and not self._lossless:
            camera.wants = self._wants
        self._outage: _Outage | None = None

    def take_counts(self) -> ReaderCounts:
        """What was counted since the last call; any thread may ask."""
        with self._lock:
            counts, self._counts = self._counts, ReaderCounts()
        return counts

    @property
    def proposal(self) -> str:
        """The line of a config that ignores what changes every second, beside what is ignored now; "" for none."""
        ticking = self._inspector.ticking
        ignored = self.scope.ignored[len(self._settings.privacy_masks) :]
        return f"ignore_masks = {toml_value((*ignored, *ticking))}" if ticking else ""

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set or the source is at its end."""
        self._report(CameraState.STARTING)
        self._wait(0.0, stop)
        while not stop.is_set():
            feed = self._connect()
            failure = self._watch(feed, stop)
            self._count()
            if stop.is_set():
                break
            if failure is None:
                self._report(CameraState.ENDED, "the source is at its end")
                log.info("camera source is at its end", camera=self._settings.name)
                self.finished = True
                return
            if self._is_final(feed, failure):
                reason = str(failure)
                self._report(CameraState.DOWN, reason, failure.kind)
                log.error("camera source cannot be read further", camera=self._settings.name, reason=reason)
                self.finished = True
                return
            self._wait(self._retry_seconds(failure, feed), stop)
        self._abandon()

    # -- one connection ------------------------------------------------------------------------------------

    def _connect(self) -> Feed:
        feed = Feed(self._camera, self._settings.name, self._deliver)
        with self._lock:
            self._feed = feed
        feed.start()
        return feed

    def _watch(self, feed: Feed, stop: threading.Event) -> CameraError | None:
        """Watch `feed` to its end; returns its failure, None at the regular end or when stopped."""
        noted = False
        while not feed.done.wait(WATCH_SECONDS):
            self.beat()
            if stop.is_set():
                return None
            self._show_note(feed.note or ((self.note or self._untold) if feed.frames else ""))
            if feed.noted_seconds() > NOTE_LOGGED_SECONDS and not noted:
                noted = True
                log.info("camera waits", camera=self._settings.name, reason=feed.note)
            limit = self._patience(feed)
            if feed.silent_seconds() > limit:
                return self._stalled(feed, limit)
        self._show_note("")
        if feed.error is None or isinstance(feed.error, CameraError):
            return feed.error
        # A fault of ours or of a library in one camera's code: that camera is retried, the others go on.
        log.error("unexpected error in a camera", camera=self._settings.name, exc_info=feed.error)
        what = type(feed.error).__name__
        return CameraError(f"unexpected {what}, see the journal", kind=CameraFailure.OTHER)

    def _patience(self, feed: Feed) -> float:
        """Seconds of silence after which `feed` counts as stalled."""
        if not feed.opened:
            return OPENING_SECONDS + 2 * self._period
        return max(self._settings.stall_timeout + self._period, GAPS_OF_PATIENCE * feed.usual_gap())

    def _show_note(self, note: str) -> None:
        """Have the status say what is waited for, "" for nothing; that is no change of state."""
        with self._lock:
            status = self.status
            if status is not None and status.state in _NOTED and status.reason != (note or self._reason):
                self.status = dataclasses.replace(status, reason=note or self._reason)

    def _show_light(self, light: str) -> None:
        """Have the status name the light that the camera sees in; a change of it is no change of state."""
        if light == self._light:
            return
        if self._light and light:
            log.info("camera light changed", camera=self._settings.name, light_mode=light, was=self._light)
        with self._lock:
            self._light = light
            if self.status is not None:
                self.status = dataclasses.replace(self.status, light_mode=light)

    def _stalled(self, feed: Feed, limit: float) -> CameraError:
        self._abandon()
        where = "it gave no frame" if feed.opened else "it could not be opened"
        return CameraError(
            f"{where} for {limit:g} s; check the camera and the network between", kind=CameraFailure.STALL
        )

    def _abandon(self) -> None:
        """Give the current feed up; keep it as hanging if it does not end."""
        with self._lock:
            feed, self._feed = self._feed, None
        if feed is not None and not feed.abandon(CLOSING_SECONDS):
            self._hanging = feed

    def _is_final(self, feed: Feed, failure: CameraError) -> bool:
        """Whether a retry is useless: a file played once that is damaged would only show its first part again."""
        hopeless = failure.kind in {CameraFailure.CODEC, CameraFailure.CRASHED}
        return self._finite and hopeless and feed.opened

    # -- between connections -------------------------------------------------------------------------------

    def _retry_seconds(self, failure: CameraError, feed: Feed) -> float:
        """Report a failure; returns the seconds to wait before the next try."""
        healthy = feed.healthy_seconds()
        self._backoff, seconds = after_failure(self._backoff, failure.kind, healthy, random.random())
        self._report(CameraState.DOWN, str(failure), failure.kind)
        now = clock.monotonic()
        if self._outage is None or self._outage.kind is not failure.kind:
            self._outage = _Outage(failure.kind, self._outage.since if self._outage else now, now, 0)
            log.warning(
                "camera is down, retrying",
                camera=self._settings.name,
                failure=failure.kind.value,
                reason=str(failure),
                retry_seconds=round(seconds, 1),
            )
        self._outage = self._outage.after_try(now, self._settings.name)
        return seconds

    def _wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for the next turn, and for a feed that was given up and still holds the camera."""
        until = clock.monotonic() + seconds
        while not stop.is_set():
            self.beat()
            left = until - clock.monotonic()
            if self._hanging is not None and self._hanging.done.is_set():
                self._hanging = None
            if left <= 0 and self._hanging is None:
                return
            stop.wait(min(max(left, WATCH_SECONDS), 1.0))

    # -- frames (in the feed's thread) ---------------------------------------------------------------------

    def _deliver(self, feed: Feed, frame: Frame) -> None:
        looked_at = bool(frame.image.size)
        if looked_at:
            frame = self._privacy.apply(frame)  # before all else, which gets no other frame
        if self.scope != WHOLE:
            frame = dataclasses.replace(frame, scope=self.scope)
        if feed.frames == 1:
            self._on_first_frame()
        verdict = self._inspect(frame)
        taken = looked_at and self._limiter.take(self._time_of(frame))
        if feed is not self._feed:
            return
        self._count(seen=1, skipped=0 if taken else 1)
        self._report(verdict.state, verdict.reason, feed=feed)
        if not taken:
            return
        if not verdict.usable:
            frame = dataclasses.replace(frame, usable=False)
        if self._lossless:
            self._slots.put_when_free(frame, feed.abandoned, feed.touch)
        else:
            self._slots.put(frame)

    def _wants(self, now: float) -> bool:
        """Whether the image of a frame of `now` is looked at, for its health or by the model."""
        feed = self._feed
        first = feed is None or not feed.frames
        return first or self._limiter.is_due(now) or self._inspector.due(now)

    def _inspect(self, frame: Frame) -> HealthVerdict:
        """Judge a frame's content; log once what is proposed."""
        known = self._inspector.ticking
        verdict = self._inspector.inspect(frame)
        self._untold = verdict.untold
        self._show_light(verdict.light.value if verdict.light else "")
        if self._inspector.ticking and not known:
            log.info(
                "an area changes every second, as a burnt-in clock does; it can be ignored for health and drift",
                camera=self._settings.name,
                proposal=self.proposal,
            )
        return verdict

    def _count(self, *, seen: int = 0, skipped: int = 0, reconnects: int = 0) -> None:
        failed = self._take_failed() if self._take_failed else 0
        with self._lock:
            old = self._counts
            self._counts = ReaderCounts(
                seen=old.seen + seen,
                failed=old.failed + failed,
                reconnects=old.reconnects + reconnects,
                skipped=old.skipped + skipped,
            )

    def _time_of(self, frame: Frame) -> float:
        if self._lossless and frame.media_seconds is not None:
            return frame.media_seconds
        return frame.monotonic_ns / 1e9

    def _on_first_frame(self) -> None:
        """The first frame of a connection."""
        self._inspector.reopened()
        outage, self._outage = self._outage, None
        if outage is None:
            return
        self._count(reconnects=1)
        log.info(
            "camera is back",
            camera=self._settings.name,
            down_seconds=round(clock.monotonic() - outage.since, 1),
            tries=outage.tries,
        )

    # -- status --------------------------------------------------------------------------------------------

    def _report(
        self,
        state: CameraState,
        reason: str = "",
        failure: CameraFailure | None = None,
        feed: Feed | None = None,
    ) -> None:
        """Report a state where it differs from the last; one of a `feed` only while that is the current feed."""
        kind = failure.value if failure else ""
        last = self.status
        if last is not None and last.state is state and last.failure == kind:
            return
        with self._lock:
            if feed is not None and feed is not self._feed:
                return
            self._reason = reason
            self.status = CameraStatus(
                camera=self._settings.name,
                state=state,
                since=clock.now(),
                reason=reason,
                failure=kind,
                light_mode=self._light if STATES[state].flowing else "",
            )
            self._on_status(self.status)
        self._log_health(last.state if last else None, state, reason)

    def _log_health(self, last: CameraState | None, state: CameraState, reason: str) -> None:
        if state in CONTENT_FAULTS:
            log.warning(
                "camera gives faulty frames", camera=self._settings.name, state=state.value, reason=reason
            )
        elif state is CameraState.ONLINE and last is CameraState.STARTING:
            log.info("camera is online", camera=self._settings.name)
        elif state is CameraState.ONLINE and last is not None and last in CONTENT_FAULTS:
            log.info("camera gives good frames again", camera=self._settings.name, was=last.value)


@dataclass(frozen=True, slots=True)
class _Outage:
    """A camera's time without frames: since when, when it was last logged, how many tries."""

    kind: CameraFailure
    since: float
    logged_at: float
    tries: int

    def after_try(self, now: float, camera: str) -> _Outage:
        """The outage after one more failed try; logs a reminder every REMIND_SECONDS."""
        tries = self.tries + 1
        if now - self.logged_at < REMIND_SECONDS:
            return dataclasses.replace(self, tries=tries)
        log.warning("camera is still down", camera=camera, down_seconds=round(now - self.since), tries=tries)
        return dataclasses.replace(self, tries=tries, logged_at=now)
