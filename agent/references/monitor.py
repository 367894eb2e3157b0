"""The drift monitor of one camera: samples its frames, records and renews its reference, judges its windows by it.

    no reference ──(auto_reference, or requested)──▶ recording ──▶ provisional, renewed as it goes on ──▶ final
    a final one of less than a week ──(days that were judged normal)──▶ a longer one (growing.py)
    another model's ──(the new one is run on its kept frames)──▶ provisional (carried.py)
    any reference ──(an operator accepts what was seen since a moment)──▶ one that takes it in (acceptance.py)

What is judged and recorded survives restarts. A reference that does not fit the model or the features is logged once,
and then nothing is judged rather than judged wrongly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import structlog

from agent.config.schema import DriftSettings
from agent.core import clock
from agent.core.errors import ReferenceMismatch
from agent.core.types import Draft, FrameResult, Observation
from agent.delivery.messages import sketch_draft
from agent.drift.advice import Situation
from agent.drift.sketch import WIRE_ITEMS, WindowSketch
from agent.pipeline.camera_window import CameraSummary
from agent.references.acceptance import Acceptance, AcceptanceRequest
from agent.references.carried import CarryingOver, CarryOver, Submit
from agent.references.causes import CameraCauses
from agent.references.choice import choose
from agent.references.clock_step import ClockStep
from agent.references.growing import Growing, Growth
from agent.references.in_force import VersionInForce, always
from agent.references.judging import WindowJudging
from agent.references.living import HourRenewal, Living, creep_observations, crept
from agent.references.recorder import ReferenceRecorder, Subject
from agent.references.reference_recording import Due, ReferenceRecording
from agent.references.sampling import FrameSampler, SampledWindow
from agent.references.sketch_report import SketchReport
from agent.references.state_saving import StateSaving
from agent.references.store import RECORDING, ReferenceStore
from agent.references.stored import Accepted, StoredReference
from agent.references.writer import ReferenceWriter

log = structlog.get_logger("vedette.drift")

Judged = tuple[dict[str, object], list[Observation]]
"""Fields for the camera's summary, and observations for the rules."""


class DriftMonitor:
    """Belongs to the analyst's thread, but for what the writer's thread does; `submit` leads back from there."""

    def __init__(
        self,
        subject: Subject,
        settings: DriftSettings,
        store: ReferenceStore,
        writer: ReferenceWriter,
        *,
        causes: CameraCauses,
        submit: Submit,
        publish: Callable[[Draft], None],
        sketch_seconds: float | None,
        sketch_items: int = WIRE_ITEMS,
        carry: CarryOver = lambda _wanted, _done: None,
    ) -> None:
        self.subject, self._settings, self.causes = subject, settings, causes
        self._store, self._writer, self._submit, self._publish = store, writer, submit, publish
        self._sketches = SketchReport(sketch_seconds, self._publish_sketches, sketch_items)
        self._recording = ReferenceRecording(subject)
        self.stored: StoredReference | None = None
        self._judging = WindowJudging(subject.camera, causes, settings.false_alarms_per_month)
        self._acceptance = Acceptance()
        self._living = Living(enabled=settings.living_reference)
        self._growing = Growing(subject, store, writer, enabled=settings.living_reference)
        self._carrying_over = CarryingOver(
            subject, store, writer, carry=carry, submit=submit, in_force=self._carried
        )
        self._problem, self._version = "", VersionInForce(store, subject.camera)
        self._taking_in = False
        self._saving = StateSaving(
            subject,
            store,
            writer,
            judging=self._judging,
            recording=self._recording,
            acceptance=self._acceptance,
            living=self._living,
            growing=self._growing,
        )
        self.restart()

    def open(self, now: float) -> None:
        """Go on where the last run ended."""
        self._load()
        self._judging.restore(self._store)
        self._acceptance.restore(self._store, self.subject)
        self._living.restore(self._store, self.subject.camera, self.stored)
        self._growing.restore(self.stored)
        self._resume_recording()
        self._follow_reference(now)
        if self.stored is None and (other := self._carrying_over.begin()) is not None:
            self.causes.hold(other)

    # -- frames and windows -----------------------------------------------------------------------------

    def restart(self) -> None:
        """The camera was added, or added again: begin with an empty window."""
        self._sampler = FrameSampler(self.subject.camera, self._settings.feature_fps)
        self._clock_step = ClockStep()

    def add_frame(self, result: FrameResult) -> None:
        """Sample a frame."""
        self._sampler.add(result)
        self.causes.frame(result.frame)
        self._carrying_over.frame(result)

    def close(self, summary: CameraSummary, now: float) -> Judged:
        """Close the window, at `now` (steady time): publish its sketches when they are due, record and judge it.

        All of that is under Unix time.
        """
        window = self._sampler.close(clock.unix(summary.start), clock.unix(summary.end))
        self._sketches.add(window.sketch)
        fields, observations = self.process(window, clock.unix(now), clock_step=self._clock_step.take())
        observed = [dataclasses.replace(one, at=summary.end) for one in observations]
        return {**window.fields(), **fields}, observed

    def skip(self, summary: CameraSummary) -> dict[str, object]:
        """Close a window that is neither recorded nor judged; its fields for the summary."""
        self._clock_step.take()
        return self._sampler.close(clock.unix(summary.start), clock.unix(summary.end)).fields()

    def process(self, window: SampledWindow, now: float, *, clock_step: float = 0.0) -> Judged:
        """Record and judge a closed window; its times and `now` are Unix time.

        `clock_step` is the seconds by which the clock was set in it: then its times are wrong, and it is left out.
        """
        if clock_step:
            reason = f"the clock was set by {clock_step:+.0f} s during this window"
            return {**self._state_fields(), "drift_state": "silent", "drift_reason": reason}, []
        since = self._judging.alarm_since
        alarmed = since is not None
        known = self.stored is not None and self.stored.reference.carried
        due = self._recording.add(window, alarmed=alarmed, known=known)
        if due is Due.FINAL or (due is Due.RENEWAL and self._recording.covers(self.stored)):
            self._build(now, final=due is Due.FINAL)
        self.causes.recording(self._recording.recorder, alarmed=alarmed)
        observations = self._judging.judge(window, now)
        self._acceptance.add(window, alarmed=alarmed)
        self._living.add(window, self._judging.verdict, self.stored)
        self._growing.add(window, self._judging.verdict, self.stored, alarmed=not self._judging.calm())
        if not alarmed and self.stored is not None and not self._taking_in:
            continued = self._acceptance.continued(self.stored, window.sketch.end)
            grown = continued or self._growing.due(self.stored, self._judging.calm)
            self._take_in(grown or self._living.due(window.sketch.end), now)
        if self._judging.alarm_since != since:
            self._saving.save(self.stored, now)
        else:
            self._saving.save_if_due(self.stored, now)
        crept = creep_observations(self.stored, self.subject.camera, window.sketch.end)
        return self._state_fields(), [*observations, *crept]

    def _state_fields(self) -> dict[str, object]:
        """The drift state, for the summary and on request."""
        fields = {**self._recording.fields(), **self._judging.outlier_fields()}
        if self._judging.verdict is not None:
            return {**fields, **self._judging.fields()}
        if self._problem:
            fields["drift_reason"] = self._problem
        since = self._judging.alarm_since
        if since is not None:  # it was on before the restart
            state, fields["drift_since"] = "drift", since
        elif self.stored is not None:
            state = "silent"
        elif self._recording.recorder is not None:
            state = "learning"
        else:
            state = "unusable" if self._problem else "none"
        return {**fields, "drift_state": state}

    def _publish_sketches(self, window: WindowSketch, items: int) -> None:
        body = {**window.to_body(items), "model_sha256": self.subject.model_sha256}
        self._publish(sketch_draft(self.subject.camera, {}, body, start=window.start, end=window.end))

    # -- commands ---------------------------------------------------------------------------------------

    def record(self, length: float, now: float) -> None:
        """Begin recording a reference; ReferenceMismatch where one was requested already, or it is too short."""
        self._recording.request(length, now)
        self._saving.save_all(self.stored, now)

    def finish(self, now: float) -> None:
        """Make a reference of what is recorded so far; ReferenceMismatch where that is too little."""
        self._recording.check_enough()
        self._build(now, final=True)

    def cancel(self) -> None:
        """Discard what is recorded so far."""
        self._recording.cancel()
        self._delete_recording()

    def _delete_recording(self) -> None:
        camera, store = self.subject.camera, self._store
        self._writer.ask(f"delete the recording of camera {camera}", lambda: store.delete(camera, RECORDING))

    def accept(self, since: float | None, now: float, *, by: str, why: str) -> Accepted:
        """Take what was seen since then (None: since the alarm went on) into the reference in force.

        It is in force once the writer has built it. ReferenceMismatch where there is none, or too little was seen.
        """
        stored, camera = self.stored, self.subject.camera
        if stored is None:
            raise ReferenceMismatch(f"no reference of camera {camera!r} is in force; record one")
        if since is None:
            since = self._judging.alarm_since
        if since is None:
            raise ReferenceMismatch(f"`since` is missing: no drift alarm of camera {camera!r} is on")
        if self._taking_in:
            raise ReferenceMismatch(
                f"the reference of camera {camera!r} is being renewed; try again in a minute"
            )
        request = self._acceptance.asked(stored, since, now=now, by=by, why=why)
        self._recording.begin_anew(now)
        self._take_in(request, now)
        return request.accepted

    def set_budget(self, settings: DriftSettings) -> None:
        """Judge by the budget of false alarms in `settings` from now on; what was judged stays."""
        self._settings = settings
        self._judging.set_budget(settings.false_alarms_per_month)

    def status(self) -> dict[str, Any]:
        """The state of this camera's drift, as JSON values."""
        return {
            "camera": self.subject.camera,
            **self._state_fields(),
            "problem": self._problem,
            "reference": None if self.stored is None else self.stored.about(),
            "recording": self._recording.about(),
            "growing": self._growing.about(self.stored),
        }

    def situation(self, now: float) -> Situation:
        """What is known of this camera's drift at `now` (Unix time), but for what lies on disk."""
        since, cause = self._judging.alarm_since, self.causes.last
        known = Situation(
            camera=self.subject.camera,
            since=since,
            lasts=None if since is None else max(0.0, now - since),
            crept=crept(self.stored),
            why_no_cause=self.causes.why_no_cause,
            accuracy=self.causes.accuracy.last(now),
            why_no_accuracy=self.causes.why_no_estimate,
            features=self._judging.features_over if since is not None else 0,
        )
        if cause is None or since is None:
            return known
        sure = round(cause.confidence, 2)
        return dataclasses.replace(known, cause=cause.cause, confidence=sure, found_ratio=cause.found_ratio)

    def explanation(self) -> dict[str, Any]:
        """The last verdicts in words, and the last windows as one window of sketches (None: nothing)."""
        return {"camera": self.subject.camera, **self._judging.explanation()}

    # -- the reference ----------------------------------------------------------------------------------

    def reload(self, now: float) -> None:
        """The versions on disk were changed."""
        self._load()
        self._follow_reference(now)

    def _follow_reference(self, now: float) -> None:
        """Begin or end the automatic recording, as the reference in force asks for."""
        if self._recording.end_if_needless(self.stored):
            self._delete_recording()
        self._recording.begin_if_needed(self.stored, self._settings, now)

    def _load(self) -> None:
        """Take the reference in force, or else the newest that fits; log once why there is none."""
        self._version.look()
        stored, problem = choose(self._store, self.subject)
        if problem and problem != self._problem:
            log.warning(
                "this reference cannot be judged by",
                camera=self.subject.camera,
                reason=problem,
                instead=stored.id if stored else "none: drift is not judged",
            )
        self._problem = problem if stored is None else ""
        self.stored = stored
        if not self._judging.use(stored):
            self._living.discard()
        self._growing.follow(stored)

    def _build(self, now: float, *, final: bool) -> None:
        """Have the writer make a reference of what is recorded; the recording stays until that is done."""
        recorder = self._recording.recorder
        assert recorder is not None  # it is due, or was checked to be enough
        camera, text, store = self.subject.camera, recorder.to_text(), self._store
        stored, renewed = self.stored, recorder.made_by == "auto"
        still = self._version.still() if renewed else always
        replaces = stored.id if stored is not None and not stored.final and renewed else ""
        self._recording.building = final

        def build() -> None:
            try:
                if final:  # else it is saved every hour, and goes on
                    store.write(camera, RECORDING, text)
                whole, offset = ReferenceRecorder.from_text(text), clock.utc_offset(now)
                made = whole.make(now, final=final, utc_offset=offset)
                version = self._version.put(made, replaces=replaces, still=still)
                kept = final and version.id == made.id and self._growing.keep_first(whole, text)
                if final:
                    store.delete(camera, RECORDING)
            except Exception:
                self._submit(lambda: self._recording.not_built(recorder))
                raise
            self._submit(lambda: self._built(version.id, recorder, final=final, kept=kept))

        self._writer.ask(f"build the reference of camera {camera}", build)

    def _built(self, id: str, recorder: ReferenceRecorder, *, final: bool, kept: bool) -> None:
        self._recording.built(recorder, final=final)
        is_news = final or self.stored is None  # an automatic one is renewed every hour of its first day
        if kept:
            self._growing.begin(recorder, id)
        self._load()
        line = log.info if is_news else log.debug
        line("reference in force", camera=self.subject.camera, reference=id, provisional=not final)

    def _carried(self, id: str) -> None:
        self._load()
        log.info(
            "reference in force",
            camera=self.subject.camera,
            reference=id,
            provisional=True,
            made_of="kept frames",
        )

    def _take_in(self, request: AcceptanceRequest | HourRenewal | Growth | None, now: float) -> None:
        """Have the writer put the reference in force that takes in what is requested, if anything is."""
        stored, camera, store, still = self.stored, self.subject.camera, self._store, self._version.still()
        if request is None or stored is None or self._taking_in:
            return
        self._taking_in = True

        def build() -> None:
            try:
                if not still():
                    raise ReferenceMismatch("another reference was put in force meanwhile")
                version = self._version.noted(request.carry_out(store, camera, stored.id, now))
            except Exception:
                self._submit(lambda: self._taken_in(""))
                raise
            self._submit(lambda: self._taken_in(version.id))

        self._writer.ask(f"{request.task} of camera {camera}", build)

    def _taken_in(self, id: str) -> None:
        self._taking_in = False
        if id:
            self._load()
            self._saving.save_soon()
            how = self.stored.taken_in if self.stored is not None else "accepted"
            line = log.debug if how == "lived" else log.info  # every day: no news
            line("reference in force", camera=self.subject.camera, reference=id, **{how: True})

    # -- across restarts --------------------------------------------------------------------------------

    def save(self, now: float) -> None:
        """Publish the sketches that are gathered, and have what was judged and recorded written to disk."""
        self._sketches.flush()
        self._saving.save_all(self.stored, now)

    def _resume_recording(self) -> None:
        try:
            text = self._store.read(self.subject.camera, RECORDING)
        except ReferenceMismatch as error:
            log.warning(
                "the stored recording cannot be used and is discarded",
                camera=self.subject.camera,
                reason=str(error),
            )
            return
        if text is not None:
            self._recording.resume(text, self.stored)
