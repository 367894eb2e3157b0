"""The recording of a camera's reference: begun by itself or on request, and when a reference is made of it. Pure.

begin ──(every 24th of its length, if automatic)──▶ RENEWAL ──▶ ... ──(length covered)──▶ FINAL ──▶ built
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import structlog

from agent.config.schema import DriftSettings
from agent.core.counts import count
from agent.core.errors import ReferenceMismatch
from agent.core.units import duration_text
from agent.references.recorder import LEAST_WINDOWS, ReferenceRecorder, Subject
from agent.references.sampling import SampledWindow
from agent.references.stored import StoredReference

log = structlog.get_logger("vedette.drift")

FIRST_WINDOWS = 20
"""Windows that even the first provisional reference rests on."""

FIRST_SHARE = 1 / 24
"""Of the length of an automatic recording: after so much (an hour of a day) it is used, and renewed as often."""

MOST_WINDOWS = 40_320
"""28 days of minutes, of which 120 MB lie in memory. On disk they are 155 MB of text: of more than 256 MB nothing is
read again, and so a restart would have ended the recording."""

LONGEST_WAIT = 1.25
"""Times its length that an automatic recording waits for an alarm to end; what still lasts then is taken for normal."""


class Due(Enum):
    """Which reference is to be made of a recording now."""

    RENEWAL = "renewal"
    FINAL = "final"


class ReferenceRecording:
    """The recording under way, if any; `building` while its final reference is being made."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.recorder: ReferenceRecorder | None = None
        self.building = False
        self._next_renewal = 0.0

    def add(self, window: SampledWindow, *, alarmed: bool, known: bool = False) -> Due | None:
        """Record a window; which reference is due after it. While `alarmed`, an automatic recording waits.

        Where what is normal is `known` from before, it waits as long as the alarm lasts, and records nothing meanwhile.
        """
        recorder = self.recorder
        if recorder is None or self.building:
            return None
        automatic = recorder.made_by == "auto"
        if alarmed and automatic and known:
            return None
        recorder.add(window.sketch, window.vectors, window.embeddings)
        if alarmed and automatic and recorder.covered < LONGEST_WAIT * recorder.length:
            return None  # what is alarming at the moment must not quietly become what is normal
        if not recorder.enough:
            return None
        if recorder.complete:
            return Due.FINAL
        if automatic and recorder.covered >= self._next_renewal:
            self._next_renewal = recorder.covered + self._renewal_every(recorder)
            return Due.RENEWAL
        return None

    def request(self, length: float, now: float) -> None:
        """Begin a recording on request; ReferenceMismatch where one was requested already, or it is too short."""
        least = LEAST_WINDOWS * self._subject.window_seconds
        if length < least:
            raise ReferenceMismatch(
                f"{length:g} s are too short for a reference; expected at least {least:g} s "
                f"({LEAST_WINDOWS} windows), better a day"
            )
        if length > self._longest:
            raise ReferenceMismatch(
                f"{duration_text(length)} is too long to be recorded; expected at most "
                f"{duration_text(self._longest)} ({MOST_WINDOWS} windows): a week holds every hour of each day, and "
                "the reference is renewed from then on"
            )
        if self.recorder is not None and self.recorder.made_by == "asked":
            raise ReferenceMismatch(
                f"a reference of camera {self._subject.camera!r} is being recorded already "
                f"({self.recorder.covered:.0f} of {self.recorder.length:.0f} s); stop that one first"
            )
        self._begin("asked", length, now)

    def begin_if_needed(self, stored: StoredReference | None, settings: DriftSettings, now: float) -> None:
        """Begin an automatic recording where there is no reference yet, or only an unfinished one."""
        if self.recorder is None and settings.auto_reference and (stored is None or _is_unfinished(stored)):
            least = LEAST_WINDOWS * self._subject.window_seconds
            if settings.reference_length > self._longest:
                log.warning(
                    "drift.reference_length is longer than can be recorded",
                    camera=self._subject.camera,
                    seconds=settings.reference_length,
                    at_most=self._longest,
                )
            self._begin("auto", min(max(settings.reference_length, least), self._longest), now)

    def built(self, recorder: ReferenceRecorder, *, final: bool) -> None:
        """A reference was made of what `recorder` held, the last one where it is `final`; another recording that was
        begun meanwhile goes on."""
        if self.recorder is recorder:
            self.building = False
            self.recorder = None if final else recorder

    def not_built(self, recorder: ReferenceRecorder) -> None:
        """That failed: the next window tries again, the recording is still there."""
        if self.recorder is recorder:
            self.building = False

    def end_if_needless(self, stored: StoredReference | None) -> bool:
        """Discard an automatic recording where a whole reference is in force; whether there was one.

        A person has put that in force: what is recorded by itself must not take its place.
        """
        needless = stored is not None and not _is_unfinished(stored)
        if not needless or self.recorder is None or self.recorder.made_by != "auto":
            return False
        self.recorder, self.building = None, False
        log.info("the automatic recording ends: a reference was put in force", camera=self._subject.camera)
        return True

    def covers(self, stored: StoredReference | None) -> bool:
        """Whether it holds as much as the reference in force, where something was accepted into that meanwhile."""
        if self.recorder is None or stored is None or stored.accepted is None:
            return True
        return self.recorder.covered >= stored.reference.origin.covered

    def check_enough(self) -> None:
        """ReferenceMismatch where no reference can be made of what is recorded so far."""
        recorder = self._under_way()
        if not recorder.enough:
            raise ReferenceMismatch(
                f"{count(recorder.windows, 'window is', 'windows are')} recorded; "
                f"expected at least {LEAST_WINDOWS}"
            )

    def begin_anew(self, now: float) -> None:
        """Begin an automatic recording anew: what it holds is no longer how things are."""
        if self.recorder is not None and self.recorder.made_by == "auto":
            self._begin("auto", self.recorder.length, now)

    def cancel(self) -> None:
        """Discard what is recorded so far."""
        self._under_way()
        self.recorder = None

    def resume(self, text: str, stored: StoredReference | None) -> None:
        """Go on with a recording kept on disk, where it is of this subject."""
        camera = self._subject.camera
        try:
            recorder = ReferenceRecorder.from_text(text)
        except ReferenceMismatch as error:
            log.warning(
                "the stored recording cannot be used and is discarded", camera=camera, reason=str(error)
            )
            return
        covered = round(recorder.covered)
        recorder.length = min(recorder.length, self._longest)  # of an earlier version
        if recorder.subject != self._subject:
            reason = (
                "the stored recording cannot be used and is discarded: the model, the features or "
                "the windows changed"
            )
            log.warning(reason, camera=camera, covered=covered)
            return
        self.recorder = recorder
        every = self._renewal_every(recorder)  # no earlier than had there been no restart
        self._next_renewal = max(recorder.covered, every) if stored is None else recorder.covered + every
        log.info(
            "continuing the recording of a reference",
            camera=camera,
            covered=covered,
            of=round(recorder.length),
        )

    def fields(self) -> dict[str, object]:
        """The field of the camera's summary."""
        if self.recorder is None:
            return {}
        return {"drift_recorded_ratio": round(min(1.0, self.recorder.covered / self.recorder.length), 4)}

    def about(self) -> dict[str, Any] | None:
        """The progress as JSON values; None where nothing is recorded."""
        recorder = self.recorder
        if recorder is None:
            return None
        return {
            "made_by": recorder.made_by,
            "started_at": recorder.started_at,
            "covered": recorder.covered,
            "length": recorder.length,
            "windows": recorder.windows,
        }

    @property
    def _longest(self) -> float:
        return MOST_WINDOWS * self._subject.window_seconds

    def _begin(self, made_by: str, length: float, now: float) -> None:
        self.recorder = ReferenceRecorder(self._subject, made_by=made_by, length=length, started_at=now)
        self.building = False
        self._next_renewal = self._renewal_every(self.recorder)
        log.info("recording a reference", camera=self._subject.camera, seconds=length, by=made_by)

    def _renewal_every(self, recorder: ReferenceRecorder) -> float:
        return max(FIRST_WINDOWS * self._subject.window_seconds, FIRST_SHARE * recorder.length)

    def _under_way(self) -> ReferenceRecorder:
        camera = self._subject.camera
        if self.recorder is None:
            raise ReferenceMismatch(f"no reference of camera {camera!r} is being recorded")
        if self.building:
            raise ReferenceMismatch(
                f"camera {camera!r} is recorded to the end, and its reference is being built: it is in force within "
                "minutes; `vedette reference rollback` goes back to the one before"
            )
        return self.recorder


def _is_unfinished(stored: StoredReference) -> bool:
    """Whether it is one that the automatic recording renews."""
    return stored.made_by == "auto" and not stored.final
