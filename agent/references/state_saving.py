"""Which drift state of one camera is written to disk, and how often: rarely for flash, enough for power cuts."""

from __future__ import annotations

from agent.references.acceptance import Acceptance
from agent.references.growing import Growing
from agent.references.judging import WindowJudging
from agent.references.living import Living
from agent.references.recorder import Subject
from agent.references.reference_recording import ReferenceRecording
from agent.references.store import GROWING, JUDGE, LIVING, RECENT, RECORDING, ReferenceStore
from agent.references.stored import StoredReference
from agent.references.writer import ReferenceWriter

SAVE_SECONDS = 1800.0  # while no alarm begins or ends; what a power cut may cost
SAVE_RECORDING_SECONDS = 3600.0
"""A day of it is 2.6 MB, written as a whole: flash would wear out by the quarter of an hour."""

SAVE_RECENT_SECONDS = 6 * 3600.0
"""A week of what was seen is 0.55 MB, packed, and written as a whole: by the hour, four cameras wrote 52 MB a day. A
power cut may cost so much of what can be accepted."""


class StateSaving:
    """Writes through the writer's thread: what was judged, the recording, and what was seen recently, each as often as
    its constant says."""

    def __init__(
        self,
        subject: Subject,
        store: ReferenceStore,
        writer: ReferenceWriter,
        *,
        judging: WindowJudging,
        recording: ReferenceRecording,
        acceptance: Acceptance,
        living: Living,
        growing: Growing,
    ) -> None:
        self._subject, self._store, self._writer = subject, store, writer
        self._judging, self._recording, self._acceptance = judging, recording, acceptance
        self._living, self._growing = living, growing
        self._saved_at: float | None = None
        self._recording_saved_at: float | None = None
        self._recent_saved_at: float | None = None

    def save_soon(self) -> None:
        """Save with the next window: what was saved is of another reference."""
        self._saved_at = None

    def save_if_due(self, stored: StoredReference | None, now: float) -> None:
        """Save where that was not done for SAVE_SECONDS."""
        if _is_due(self._saved_at, now, SAVE_SECONDS):
            self.save(stored, now)

    def save_all(self, stored: StoredReference | None, now: float) -> None:
        """Save, the recording and what was seen recently as well."""
        self._recording_saved_at = self._recent_saved_at = None
        self.save(stored, now)

    def save(self, stored: StoredReference | None, now: float) -> None:
        """Have what was judged by `stored` written now, and all else that is due."""
        self._saved_at = now
        recorder, written = self._recording.recorder, {JUDGE: self._judging.to_text()}
        always = self._recording_saved_at is None
        written[LIVING] = self._living.text_if_due(stored, now, always=always)
        written[GROWING] = self._growing.text_if_due(stored, now, always=always)
        if _is_due(self._recent_saved_at, now, SAVE_RECENT_SECONDS):
            self._recent_saved_at = now
            written[RECENT] = self._acceptance.to_text(self._subject)
        if _is_due(self._recording_saved_at, now, SAVE_RECORDING_SECONDS):
            self._recording_saved_at = now
            if recorder is not None and not self._recording.building:
                written[RECORDING] = recorder.to_text()
        camera, store = self._subject.camera, self._store

        def write() -> None:
            for name, text in written.items():
                if text is not None:
                    store.write(camera, name, text)

        self._writer.ask(f"keep the drift state of camera {camera}", write)


def _is_due(saved_at: float | None, now: float, seconds: float) -> bool:
    """Whether it was not saved within so many seconds, by a clock that may be set back."""
    return saved_at is None or not 0 <= now - saved_at < seconds
