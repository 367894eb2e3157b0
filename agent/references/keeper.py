"""The keeper of one camera's reference: has it recorded, renewed and restored, and judges live windows by it.

    no reference ──(auto_reference, or asked for)──▶ recording ──▶ provisional, renewed as it goes on ──▶ final

What is judged survives restarts. A reference that does not fit the model or the features is said once, and then
nothing is judged rather than judged wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.alerts.words import quantity
from agent.config.schema import DriftSettings
from agent.core.counts import count
from agent.core.errors import ReferenceMismatch
from agent.core.types import Observation
from agent.core.untrusted import parse_kept
from agent.drift.judge import DriftJudge
from agent.drift.sketch import WindowSketch
from agent.drift.verdict import DriftVerdict
from agent.references.choice import choose
from agent.references.frames import FrameJudge
from agent.references.recent import Recent
from agent.references.recorder import LEAST_WINDOWS, Recorder, Subject
from agent.references.store import JUDGE, RECORDING, ReferenceStore
from agent.references.stored import StoredReference
from agent.references.wording import fields_of, observations_of
from agent.references.writer import ReferenceWriter

log = structlog.get_logger("vedette.drift")

FIRST_WINDOWS = 20
"""Windows that even the first provisional reference rests on."""

FIRST_SHARE = 1 / 24
"""Of the length of an automatic recording: after so much (an hour of a day) it is used, and renewed as often."""

LONGEST_WAIT = 1.25
"""Times its length that an automatic recording waits for an alarm to end; what still lasts then is taken for normal."""

SAVE_SECONDS = 900.0
Submit = Callable[[Callable[[], None]], None]
Told = tuple[dict[str, object], list[Observation]]


class Keeper:
    """Belongs to the analyst's thread, but for what it has the librarian do; `submit` leads back to that thread."""

    def __init__(
        self,
        subject: Subject,
        settings: DriftSettings,
        store: ReferenceStore,
        writer: ReferenceWriter,
        submit: Submit,
    ) -> None:
        self.subject, self._settings = subject, settings
        self._store, self._writer, self._submit = store, writer, submit
        self._stored: StoredReference | None = None
        self._judge: DriftJudge | None = None
        self._frames: FrameJudge | None = None
        self._recorder: Recorder | None = None
        self._problem = ""
        self._building = False
        self._next_renewal = 0.0
        self._saved_at: float | None = None
        self._verdict: DriftVerdict | None = None
        self._recent = Recent()
        self._outlying: dict[str, object] = {}

    def open(self, now: float) -> None:
        """Go on where the last run ended."""
        self._load()
        self._restore_judge()
        self._resume_recording()
        self._record_if_needed(now)

    # -- frames and windows -----------------------------------------------------------------------------

    def see(self, vector: NDArray[np.float32], embedding: NDArray[np.float32] | None) -> None:
        """Judge a single frame."""
        if self._frames is not None:
            self._frames.see(vector, embedding)

    def window(
        self,
        window: WindowSketch,
        vectors: NDArray[np.float32],
        embeddings: Sequence[NDArray[np.float32]],
        now: float,
        *,
        clock_step: float = 0.0,
    ) -> Told:
        """Take a closed window in: for the recording and for the judge.

        `vectors` (n, F) are its frames, `clock_step` the seconds by which the clock was set in it: then its times
        are wrong, and it is left out.
        """
        if clock_step:
            fields, observations = self._state_fields(), self._outliers(now)[1]
            return {
                **fields,
                "drift_state": "silent",
                "drift_reason": f"the clock was set by {clock_step:+.0f} s during this window",
            }, observations
        self._record(window, vectors, embeddings, now)
        fields, observations = self._judged(window, now)
        more, others = self._outliers(now)
        if self._saved_at is None or not 0 <= now - self._saved_at < SAVE_SECONDS:
            self.save(now)
        return {**fields, **more}, [*observations, *others]

    def _judged(self, window: WindowSketch, now: float) -> Told:
        if self._judge is None or self._stored is None:
            return self._state_fields(), []
        self._recent.see(window)
        alarm = self._judge.alarm
        verdict = self._verdict = self._judge.judge(window, now)
        self._recent.judged(verdict)
        if verdict.alarm != alarm:
            self.save(now)
        return self._state_fields(), observations_of(verdict, self._stored, window.end)

    def _state_fields(self) -> dict[str, object]:
        """Where drift stands, for the summary."""
        fields: dict[str, object] = {}
        if self._recorder is not None:
            fields["drift_recorded_ratio"] = round(
                min(1.0, self._recorder.covered / self._recorder.length), 4
            )
        if self._stored is not None and self._verdict is not None:
            return {**fields, **fields_of(self._verdict, self._stored.id)}
        if self._problem:
            fields["drift_reason"] = self._problem
        if self._stored is not None:
            state = "silent"
        elif self._recorder is not None:
            state = "learning"
        else:
            state = "unusable" if self._problem else "none"
        return {**fields, "drift_state": state}

    def _outliers(self, now: float) -> Told:
        if self._frames is None:
            return {}, []
        seen, outliers, reasons = self._frames.take()
        if not seen:
            return {}, []
        share = outliers / seen
        fields: dict[str, object] = {
            "frames_outlying": outliers,
            "drift_outlier_ratio": float(f"{share:.3g}"),
        }
        self._outlying = fields
        by = f" (by {', '.join(name.replace('_', ' ') for name in reasons)})" if reasons else ""
        observation = Observation(
            metric="drift.outlier_ratio",
            value=share,
            at=now,
            labels={"camera": self.subject.camera},
            text=f"{quantity(share, 'ratio')} of frames are unlike all that the reference knows{by}"
            if outliers
            else "",
            evidence={"frames": seen, "outliers": outliers, "by": reasons},
        )
        return fields, [observation]

    # -- recording --------------------------------------------------------------------------------------

    def record(self, length: float, now: float) -> None:
        """Begin a reference from now on; ReferenceMismatch where one is asked for already, or too little."""
        least = LEAST_WINDOWS * self.subject.window_seconds
        if length < least:
            raise ReferenceMismatch(
                f"{length:g} s are too short for a reference; expected at least {least:g} s "
                f"({LEAST_WINDOWS} windows), better a day"
            )
        if self._recorder is not None and self._recorder.made_by == "asked":
            raise ReferenceMismatch(
                f"a reference of camera {self.subject.camera!r} is being recorded already "
                f"({self._recorder.covered:.0f} of {self._recorder.length:.0f} s); stop that one first"
            )
        self._begin("asked", length, now)
        self.save(now)

    def finish(self, now: float) -> None:
        """Make a reference of what is recorded so far; ReferenceMismatch where that is too little."""
        if self._recorder is None:
            raise ReferenceMismatch(f"no reference of camera {self.subject.camera!r} is being recorded")
        if not self._recorder.enough:
            raise ReferenceMismatch(
                f"{count(self._recorder.windows, 'window is', 'windows are')} recorded; "
                f"expected at least {LEAST_WINDOWS}"
            )
        self._build(self._recorder, now, final=True)

    def cancel(self) -> None:
        """Forget what is recorded so far."""
        if self._recorder is None:
            raise ReferenceMismatch(f"no reference of camera {self.subject.camera!r} is being recorded")
        self._recorder = None
        camera = self.subject.camera
        self._writer.ask(
            f"delete the recording of camera {camera}", lambda: self._store.delete(camera, RECORDING)
        )

    def _begin(self, made_by: str, length: float, now: float) -> None:
        self._recorder = Recorder(self.subject, made_by=made_by, length=length, started_at=now)
        self._next_renewal = self._renewal_every(self._recorder)
        log.info("recording a reference", camera=self.subject.camera, seconds=length, by=made_by)

    def _renewal_every(self, recorder: Recorder) -> float:
        return max(FIRST_WINDOWS * self.subject.window_seconds, FIRST_SHARE * recorder.length)

    def _record_if_needed(self, now: float) -> None:
        stored = self._stored
        unfinished = stored is not None and stored.made_by == "auto" and not stored.final
        if self._recorder is None and self._settings.auto_reference and (stored is None or unfinished):
            least = LEAST_WINDOWS * self.subject.window_seconds
            self._begin("auto", max(self._settings.reference_length, least), now)

    def _record(
        self,
        window: WindowSketch,
        vectors: NDArray[np.float32],
        embeddings: Sequence[NDArray[np.float32]],
        now: float,
    ) -> None:
        recorder = self._recorder
        if recorder is None or self._building:
            return
        recorder.add(window, vectors, embeddings)
        if (
            self._alarmed()
            and recorder.made_by == "auto"
            and recorder.covered < LONGEST_WAIT * recorder.length
        ):
            return  # what is alarming at the moment must not quietly become what is normal
        if not recorder.enough:
            return
        if recorder.complete:
            self._build(recorder, now, final=True)
        elif recorder.made_by == "auto" and recorder.covered >= self._next_renewal:
            self._next_renewal = recorder.covered + self._renewal_every(recorder)
            self._build(recorder, now, final=False)

    def _alarmed(self) -> bool:
        return self._judge is not None and self._judge.alarm

    def _build(self, recorder: Recorder, now: float, *, final: bool) -> None:
        """Have the librarian make the reference of what is recorded; the recording stays until that is done."""
        camera, text, store = self.subject.camera, recorder.to_text(), self._store
        stored, renewed = self._stored, recorder.made_by == "auto"
        replaces = stored.id if stored is not None and not stored.final and renewed else ""
        self._building = final

        def build() -> None:
            try:
                store.write(camera, RECORDING, text)
                version = store.put(
                    camera, Recorder.from_text(text).make(now, final=final), replaces=replaces
                )
                if final:
                    store.delete(camera, RECORDING)
            except Exception:
                self._submit(self._not_built)
                raise
            self._submit(lambda: self._built(version.id, final=final))

        self._writer.ask(f"build the reference of camera {camera}", build)

    def _built(self, id: str, *, final: bool) -> None:
        self._building = False
        if final:
            self._recorder = None
        self._load()
        log.info("reference in force", camera=self.subject.camera, reference=id, final=final)

    def _not_built(self) -> None:
        self._building = False  # the next window tries again; the recording is still there

    # -- what is in force -------------------------------------------------------------------------------

    def reload(self, now: float) -> None:
        """The versions on disk were changed by somebody."""
        self._load()
        self._record_if_needed(now)

    def _load(self) -> None:
        """Take the reference in force, or else the newest that fits; say once why there is none."""
        stored, problem = choose(self._store, self.subject)
        if problem and problem != self._problem:
            log.warning(
                "this reference cannot be judged by",
                camera=self.subject.camera,
                reason=problem,
                instead=stored.id if stored else "none: drift is not judged",
            )
        self._problem = problem if stored is None else ""
        self._take(stored)

    def _take(self, stored: StoredReference | None) -> None:
        if stored is not None and self._stored is not None and stored.id == self._stored.id:
            self._stored = stored
            return
        self._stored, self._verdict = stored, None
        self._judge = DriftJudge(stored.reference, self._settings.false_alarms_per_month) if stored else None
        self._frames = FrameJudge(stored) if stored else None

    # -- across restarts --------------------------------------------------------------------------------

    def save(self, now: float) -> None:
        """Have what was judged and recorded written to disk."""
        self._saved_at = now
        camera, store = self.subject.camera, self._store
        judged = None
        if self._judge is not None:
            judged = json.dumps({"judge": self._judge.state(), "history": self._recent.history()})
        recorded = self._recorder.to_text() if self._recorder is not None and not self._building else None

        def write() -> None:
            if judged is not None:
                store.write(camera, JUDGE, judged)
            if recorded is not None:
                store.write(camera, RECORDING, recorded)

        self._writer.ask(f"keep the drift state of camera {camera}", write)

    def set_budget(self, settings: DriftSettings) -> None:
        """Judge by the budget of false alarms in `settings` from now on; what was seen stays."""
        self._settings = settings
        if self._judge is not None:
            self._judge.set_budget(settings.false_alarms_per_month)

    def _restore_judge(self) -> None:
        if self._judge is None:
            return
        try:
            kept = parse_kept(self._store.read(self.subject.camera, JUDGE) or "{}")
            if kept:
                self._judge.restore(kept["judge"])
                self._recent.restore(kept["history"])
        except (ReferenceMismatch, ValueError, KeyError, TypeError) as error:
            log.warning("what was judged before is left aside", camera=self.subject.camera, reason=str(error))

    def _resume_recording(self) -> None:
        try:
            text = self._store.read(self.subject.camera, RECORDING)
            if text is None:
                return
            recorder = Recorder.from_text(text)
        except ReferenceMismatch as error:
            log.warning("the recording is left aside", camera=self.subject.camera, reason=str(error))
            return
        if recorder.subject != self.subject:
            log.warning(
                "the recording is left aside: the model, the features or the windows changed",
                camera=self.subject.camera,
                covered=round(recorder.covered),
            )
            return
        self._recorder = recorder
        first = self._renewal_every(recorder)  # no earlier than had there been no restart
        self._next_renewal = (
            max(recorder.covered, first) if self._stored is None else recorder.covered + first
        )
        log.info(
            "going on recording a reference",
            camera=self.subject.camera,
            covered=round(recorder.covered),
            of=round(recorder.length),
        )

    # -- for people -------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Where this camera's drift stands, as JSON values."""
        recorder, stored = self._recorder, self._stored
        return {
            "camera": self.subject.camera,
            **self._state_fields(),
            **(self._outlying if stored is not None else {}),
            "problem": self._problem,
            "reference": None if stored is None else stored.about(),
            "recording": None
            if recorder is None
            else {
                "made_by": recorder.made_by,
                "started_at": recorder.started_at,
                "covered": recorder.covered,
                "length": recorder.length,
                "windows": recorder.windows,
            },
        }

    def explanation(self) -> dict[str, Any]:
        """The last verdicts in words, and what was seen lately as a window of sketches (None: nothing)."""
        return {
            "camera": self.subject.camera,
            "history": self._recent.history(),
            "recent": self._recent.window_body(),
        }
