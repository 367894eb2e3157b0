"""A reference that grows: what is judged normal after its recording is recorded on, until limits rest on a week.

    recording of a day ──▶ days without an alarm, each kept on disk ──(2, 3, 5 and 7 together)──▶ built anew of all
    an alarm ──▶ the day under way begins anew, and one that ended within half a day before it is discarded

`living.py` moves what is normal and keeps the limits; this learns the limits, the noise and the factors anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import parse_kept, take_list, take_number, take_object, take_text
from agent.drift.calibrate import LEAST_BLOCKS
from agent.drift.contexts import HOURS
from agent.drift.sketch import LATEST
from agent.drift.verdict import DriftVerdict
from agent.references.growth_process import build_beside
from agent.references.recorder import LARGEST_BYTES, ReferenceRecorder, Subject
from agent.references.sampling import SampledWindow
from agent.references.store import DAYS, GROWING, ReferenceStore, ReferenceVersion
from agent.references.stored import StoredReference
from agent.references.writer import ReferenceWriter

log = structlog.get_logger("vedette.drift")

DAY_SECONDS = 86_400.0
STEPS = (2, 3, 5, 7)
"""Days together of which it is built anew: few days say most by their number, and each time the judge begins anew."""

SETTLE_SECONDS = DAY_SECONDS / 2
"""A day that ended so long before an alarm holds none of its change: small ones are found within half a day."""

LEAST_WINDOW_SECONDS = 30.0
"""A week of shorter ones would take more than half a gigabyte to build of."""

SAVE_SECONDS = 12 * 3600.0
"""A day has 4 MB, packed, and is written as a whole: a power cut may cost half a day."""

_NEARLY = 0.97  # of a day: a window is missing here and there
_WHOLE_BLOCKS = 6 * HOURS  # hours that limits rest on from which on there is nothing to be gained
_MORE = 1.2  # times the hours that limits rest on: less is not worth that the judge begins anew


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDay:
    """A day on disk: the Unix time at which it ended, and the seconds of windows that it holds."""

    end: float
    covered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The reference is to be built anew of so many days."""

    days: int
    calm: Callable[[], bool]
    task = "build the longer reference"

    def carry_out(self, store: ReferenceStore, camera: str, replaces: str, _now: float) -> ReferenceVersion:
        """Put it in force; the version `replaces` goes, unless a person may want it back. ReferenceMismatch where it
        is no longer `calm`: the judge begins anew, and the alarm that is on would be over."""
        made = build_beside(store, camera, self.days)
        current, before = store.find(camera), store.load(camera)
        if before.id != replaces:
            return current  # another one was put in force meanwhile
        if not self.calm():
            raise ReferenceMismatch("an alarm has gone on meanwhile; it is built once that is over")
        made = replace(made, grown_from=before.id)
        passing = before.grown_from or before.lived is not None
        return store.put(camera, made, replaces=replaces if passing else "")


class Growing:
    """The days of one camera. One thread's own, but for what the writer's does."""

    def __init__(
        self, subject: Subject, store: ReferenceStore, writer: ReferenceWriter, *, enabled: bool
    ) -> None:
        self._subject, self._store, self._writer = subject, store, writer
        self._enabled = enabled and subject.window_seconds >= LEAST_WINDOW_SECONDS
        self._reference = self._begun = ""
        self._days: list[KeptDay] = []
        self._day = self._new_day(None)
        self._alarmed, self._asked = False, 0
        self._saved_at: float | None = None

    # -- what is in force -------------------------------------------------------------------------------

    def can_grow(self, stored: StoredReference | None) -> bool:
        """Whether more days would tell more: it was recorded, and its limits rest on less than a week."""
        if stored is None or not self._enabled or not stored.final or stored.reference.any_hour:
            return False
        return 0 < stored.reference.calibration.blocks < _WHOLE_BLOCKS

    def keep_first(self, recorder: ReferenceRecorder, text: str) -> bool:
        """Keep what a reference was made of as the first day, if that can grow; whether it is kept. From the writer's
        thread, where the reference is in force already: what cannot be written must not have it built again."""
        hours, camera = recorder.covered / 3600.0, self._subject.camera
        if not self._enabled or not LEAST_BLOCKS <= hours < _WHOLE_BLOCKS:
            return False
        try:
            self._store.write(camera, DAYS[0], text)
        except OSError as error:
            log.warning(
                "the recording cannot be kept: the reference grows by later days alone",
                camera=camera,
                error=str(error),
            )
            return False
        return True

    def begin(self, recorder: ReferenceRecorder, id: str) -> None:
        """All that `recorder` holds is kept as the first day of the reference `id` that is put in force."""
        self._days, self._day, self._asked = [_kept(recorder)], self._new_day(recorder), 0
        self._begun = id

    def follow(self, stored: StoredReference | None) -> None:
        """`stored` is in force: days go on where it is what the last one has become, and else begin anew."""
        same = stored is not None and (self._begun == stored.id or self._reference in _line(stored))
        self._reference, self._begun = "" if stored is None else stored.id, ""
        if not same or not self.can_grow(stored):
            self._begin_anew()

    def _begin_anew(self) -> None:
        if self._days:
            self._delete()
        self._days, self._day, self._asked = [], self._new_day(None), 0

    def _delete(self) -> None:
        camera, store = self._subject.camera, self._store

        def delete() -> None:
            for name in (*DAYS, GROWING):
                store.delete(camera, name)

        self._writer.ask(f"delete the days of camera {camera}", delete)

    def _new_day(self, before: ReferenceRecorder | None) -> ReferenceRecorder:
        """An empty day; what is known of single frames goes on from the day before."""
        made = ReferenceRecorder(self._subject, made_by="auto", length=DAY_SECONDS, started_at=0.0)
        if before is not None:
            made.extremes, made.embedding = before.extremes, before.embedding
        return made

    # -- windows ----------------------------------------------------------------------------------------

    def add(
        self,
        window: SampledWindow,
        verdict: DriftVerdict | None,
        stored: StoredReference | None,
        *,
        alarmed: bool,
    ) -> None:
        """One more window, and the verdict on it, if it was judged by `stored`; whether an alarm is on."""
        if not self.can_grow(stored) or verdict is None or verdict.end != window.sketch.end:
            return
        start, began, self._alarmed = window.sketch.start, alarmed and not self._alarmed, alarmed
        if began:
            self._discard_from(start - SETTLE_SECONDS, first=1)
            self._asked = 0
        elif start < self._last:
            self._discard_from(start)  # the clock went back: what lies ahead of it was under a wrong time
        if alarmed or not verdict.judged or verdict.ratio >= 1.0:
            return
        if len(self._days) == len(DAYS):
            self._begin_anew()  # a week was not enough to build of: what is on disk is damaged, or was never written
        self._day.add(window.sketch, window.vectors, window.embeddings)
        if self._day.covered >= _NEARLY * DAY_SECONDS:
            self._keep()

    def due(self, stored: StoredReference | None, calm: Callable[[], bool]) -> Growth | None:
        """What is to be built now, if anything; `calm` tells from any thread that no alarm is on."""
        if stored is None or not self.can_grow(stored):
            return None
        covered = sum(each.covered for each in self._days)
        step = max((each for each in STEPS if covered >= _NEARLY * DAY_SECONDS * each), default=0)
        if step <= self._asked or covered < 3600.0 * _MORE * stored.reference.calibration.blocks:
            return None
        self._asked = step
        return Growth(days=len(self._days), calm=calm)

    @property
    def _last(self) -> float:
        """The Unix time at which the newest window of all ended."""
        recording = self._day.recording
        if recording.starts:
            return recording.starts[-1] + recording.seconds[-1]
        return self._days[-1].end if self._days else 0.0

    def _discard_from(self, moment: float, *, first: int = 0) -> None:
        """Discard the day under way, and those that ended after `moment`, but for the `first`: the recording."""
        self._day = self._new_day(self._day)
        self._days = [each for number, each in enumerate(self._days) if number < first or each.end <= moment]

    def _keep(self) -> None:
        """The day is complete."""
        self._days = [*self._days, _kept(self._day)]
        name, text = DAYS[len(self._days) - 1], self._day.to_text()
        self._day = self._new_day(self._day)
        about, camera, store = self._to_text(), self._subject.camera, self._store

        def write() -> None:
            store.write(camera, name, text)
            store.write(camera, GROWING, about)

        self._writer.ask(f"keep a day of camera {camera}", write)

    # -- across restarts --------------------------------------------------------------------------------

    def about(self, stored: StoredReference | None) -> dict[str, Any] | None:
        """How far it has grown, as JSON values; None where it does not grow."""
        if not self.can_grow(stored):
            return None
        covered = sum(each.covered for each in self._days) + self._day.covered
        return {"covered": covered, "length": STEPS[-1] * DAY_SECONDS}

    def text_if_due(self, stored: StoredReference | None, now: float, *, always: bool) -> str | None:
        """What `restore` goes on with, as JSON text, every SAVE_SECONDS or `always`."""
        saved_at = self._saved_at
        early = saved_at is not None and 0 <= now - saved_at < SAVE_SECONDS
        if not self.can_grow(stored) or (early and not always):
            return None
        self._saved_at = now
        return self._to_text()

    def _to_text(self) -> str:
        days = [asdict(each) for each in self._days]
        return json.dumps({"reference": self._reference, "days": days, "day": self._day.to_text()})

    def restore(self, stored: StoredReference | None) -> None:
        """Go on with what was saved, where it was recorded by `stored` or by what that was made of."""
        camera = self._subject.camera
        try:
            text = self._store.read(camera, GROWING)
            if text is not None and not self._restored(text, stored):
                self._delete()
        except (ReferenceMismatch, ValueError) as error:
            log.warning(
                "the stored days of a growing reference cannot be used and are discarded",
                camera=camera,
                reason=str(error),
            )
            self._delete()

    def _restored(self, text: str, stored: StoredReference | None) -> bool:
        """Whether what was saved is of this camera and model, and of the reference in force."""
        kept = take_object({"growing": parse_kept(text, largest=LARGEST_BYTES)}, "growing")
        line = _line(stored) if stored is not None and self.can_grow(stored) else set()
        if take_text(kept, "reference", longest=64) not in line:
            return False
        day = ReferenceRecorder.from_text(take_text(kept, "day", longest=LARGEST_BYTES))
        if day.subject != self._subject:
            return False
        self._days = [_day_of(each) for each in take_list(kept, "days", longest=len(DAYS))]
        self._day = day
        return True


def _line(stored: StoredReference) -> set[str]:
    """The ids of a reference and of the one that it was made of by itself."""
    return {stored.id, stored.grown_from or stored.id, stored.lived.before if stored.lived else stored.id}


def _kept(recorder: ReferenceRecorder) -> KeptDay:
    recording = recorder.recording
    return KeptDay(end=recording.starts[-1] + recording.seconds[-1], covered=recorder.covered)


def _day_of(entry: object) -> KeptDay:
    day = take_object({"day": entry}, "day")
    return KeptDay(
        end=take_number(day, "end", minimum=0.0, maximum=LATEST),
        covered=take_number(day, "covered", minimum=0.0, maximum=LATEST),
    )
