"""The causes of one camera's drift: keeps frames of what is normal, looks at those of now, diagnoses.

    recording ──▶ a frame every so often is kept ──▶ the learner makes signatures of them ──▶ verdicts are diagnosed

A reference without frames (imported, accepted, or recorded before frames were kept) gets them while no alarm is on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agent.core.counts import count
from agent.core.types import Frame, Image
from agent.drift.diagnosis.diagnose import BY_ABSENCE, NOT_LEARNT, UNKNOWN, Diagnosis, diagnose
from agent.drift.diagnosis.learn import LEAST_FRAMES, image_medians, small
from agent.drift.diagnosis.portrait import FrameLook, look_at
from agent.drift.diagnosis.signatures import Signatures
from agent.drift.verdict import DriftVerdict
from agent.references.accuracy_monitor import AccuracyMonitor, Ask
from agent.references.frame_store import MOST_FRAMES, FrameStore, Hidden, NormalSpan, mark_of
from agent.references.recorder import ReferenceRecorder
from agent.references.stored import StoredReference
from agent.references.writer import ReferenceWriter

LOOKS = 6
"""Frames of now that a diagnosis rests on: those of about a window."""

LATER_SECONDS = 3600.0
"""From one frame to the next, where a reference lacked frames and has enough for the first signatures."""

_NOT_KEPT = "no frames of the camera are kept (`keep_frames = false`)"

_TOO_EARLY = Diagnosis(cause=UNKNOWN, reason="no known cause fits the first window; waiting for the next one")

Learn = Callable[[str, NormalSpan, bool], None]
"""Asks for the signatures of a camera, made of the frames of a span; whether they are to be made anew."""


class CameraCauses:
    """Belongs to the analyst's thread; `learn` asks for signatures, `look` for an estimate of how right the model is;
    `golden` gives the state of the golden check.

    `hidden` are the areas that are left out of the frames that may be kept; None: none may.
    """

    def __init__(
        self,
        camera: str,
        window_seconds: float,
        *,
        hidden: Hidden | None,
        frames: FrameStore,
        writer: ReferenceWriter,
        learn: Learn,
        look: Ask,
        golden: Callable[[], str],
    ) -> None:
        self._camera, self._window_seconds, self._hidden = camera, window_seconds, hidden
        self._frames, self._writer, self._learn, self._golden = frames, writer, learn, golden
        self.signatures: Signatures | None = None
        self.last: Diagnosis | None = None
        self._found: Diagnosis | None = None
        self.accuracy = AccuracyMonitor(camera, LOOKS, look)
        self.looks: deque[FrameLook] = deque(maxlen=LOOKS)
        self._span: NormalSpan | None = None
        self._lacking = False
        self._gathering_since: float | None = None
        self._count, self._interval = 0, window_seconds
        self._next_look, self._next_kept = 0.0, 0.0

    def set_hidden(self, hidden: Hidden | None) -> None:
        """Keep frames in which these areas are hidden from now on; older ones are of another view."""
        if hidden != self._hidden:
            self._hidden = hidden
            self.signatures = self.last = self._found = None
            self.looks.clear()
            self.accuracy.clear()
            self._begin()

    def frame(self, frame: Frame) -> None:
        """A frame that was detected on, its privacy masks black: it is kept, or looked at, where that is due."""
        if not frame.usable or frame.scope.ignored != self._hidden:
            return
        at = frame.captured_at
        keeping = self._gathering_since is not None and not 0 < self._next_kept - at <= self._interval
        looking = self.signatures is not None and not 0 < self._next_look - at <= self._window_seconds
        copy = small(frame.image) if keeping or looking else None
        if copy is not None and looking:
            self._next_look = at + self._window_seconds / LOOKS
            self.looks.append(look_at(copy))
            if self.accuracy.wants(at):
                self.accuracy.add(at, copy)
        if copy is not None and keeping:
            self._keep_frame(at, copy)

    def recording(self, recorder: ReferenceRecorder | None, *, alarmed: bool) -> None:
        """Whether a reference is being recorded now: without an alarm its frames are kept, or those that lack."""
        since = None
        if not alarmed and recorder is not None:
            since = recorder.started_at
        elif not alarmed and self._lacking and self._span is not None:
            since = self._span.start
        if since is not None and since > self._next_kept:
            self._begin()
        self._gathering_since = since

    def reference(self, stored: StoredReference | None) -> None:
        """This reference is in force: its signatures are asked for."""
        before, self._span = self._span, (span_of(stored) if stored is not None else None)
        self._lacking = False
        if before is not None and (self._span is None or not before.meets(self._span)):
            self.signatures = None  # they are of another normal
        self._asking(anew=stored is not None and stored.final)()

    def hold(self, stored: StoredReference) -> None:
        """The frames of this reference, which is another model's, are needed still."""
        self._span = span_of(stored)

    def learnt(self, signatures: Signatures | None) -> None:
        """What the learner made of the kept frames; None: there are too few."""
        if signatures is None:
            self._lacking = True
            self._begin()
        elif self._hidden is not None and signatures.frames.startswith(mark_of(self._hidden)):
            self.signatures = signatures

    def judge(self, verdict: DriftVerdict, vectors: NDArray[np.float32]) -> Diagnosis | None:
        """The diagnosis of a verdict that is over its limit, or for which an alarm is on.

        `vectors` (n, F) are the features of the last window's frames.
        """
        if verdict.judged:
            drifts = self._hidden is not None and (verdict.alarm or verdict.ratio >= 1.0)
            self._follow(self._diagnosed(verdict, vectors) if drifts else None)
            self.accuracy.window(calm=not drifts, cause=self.last)
        return self.last

    @property
    def why_no_cause(self) -> str:
        """Why the last drift has no cause, "" where it has one."""
        if self._hidden is None:
            return _NOT_KEPT
        if self.last is None:
            return "no window of the drift was diagnosed yet"
        return self.last.reason

    @property
    def why_no_estimate(self) -> str:
        """Why there is no estimate of how right the model is, where there is none."""
        if self._hidden is None:
            return _NOT_KEPT
        if self.signatures is None:
            return NOT_LEARNT
        trials = self.signatures.trials
        if trials is None:
            return "what known causes do to the model has not been learnt yet"
        if not trials.enough:
            found = count(trials.boxes, "object", "objects")
            return (
                f"the model finds {found} on the kept frames of what is normal, which is too few to learn by"
            )
        return "the box had no idle time for it lately"

    def _diagnosed(self, verdict: DriftVerdict, vectors: NDArray[np.float32]) -> Diagnosis:
        medians = image_medians(vectors)
        return diagnose(verdict, self.signatures, list(self.looks), medians, golden=self._golden())

    def _follow(self, found: Diagnosis | None) -> None:
        """Another cause counts once two diagnoses in a row agree: the frames of the first are partly of before.

        So does at first what is concluded because no known cause fits.
        """
        before, self._found = self._found, found
        again = found is not None and before is not None and found.cause == before.cause
        if found is None or again:
            self.last = found
        elif self.last is None or self.last.cause == UNKNOWN:
            self.last = _TOO_EARLY if found.cause in BY_ABSENCE else found

    def _begin(self) -> None:
        """Keep frames from the first on."""
        self._count, self._interval, self._next_kept = 0, self._window_seconds, 0.0

    def _asking(self, *, anew: bool) -> Callable[[], None]:
        """What asks for the signatures of the reference in force, from any thread."""
        camera, span, again = self._camera, self._span, anew or self.signatures is None
        if span is None or self._hidden is None:
            return lambda: None
        return lambda: self._learn(camera, span, again)

    def _keep_frame(self, at: float, copy: Image) -> None:
        self._count += 1
        enough = self._lacking and self._count in (LEAST_FRAMES, MOST_FRAMES)
        assert self._hidden is not None  # else none is kept
        camera, mark, span, since = (
            self._camera,
            mark_of(self._hidden),
            self._span,
            self._gathering_since or 0.0,
        )
        learn = self._asking(anew=True) if enough else None
        self._set_pace()
        self._next_kept = at + self._interval

        def write() -> None:
            self._frames.put(camera, mark, at, copy, kept=span, since=since)
            if learn is not None:
                learn()

        self._writer.ask(f"keep a frame of camera {camera}", write)

    def _set_pace(self) -> None:
        """Once MOST_FRAMES of a recording are kept, they are kept half as often."""
        if self._lacking:
            self._interval = self._window_seconds if self._count < LEAST_FRAMES else LATER_SECONDS
            if self._count >= MOST_FRAMES:
                self._lacking, self._gathering_since = False, None
        elif self._count > MOST_FRAMES:
            self._count, self._interval = (self._count + 1) // 2, 2 * self._interval


def span_of(stored: StoredReference) -> NormalSpan:
    """When the frames were taken that show what a reference holds normal."""
    accepted, origin = stored.accepted, stored.reference.origin
    return NormalSpan(accepted.since, accepted.until) if accepted else NormalSpan(origin.start, origin.end)
