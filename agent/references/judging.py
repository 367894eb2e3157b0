"""Judges one camera's windows by the reference in force: by drift, by single frames that stand out, and why it drifts.

What was judged goes on over a restart, and over a renewal of the reference in force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog

from agent.core import clock
from agent.core.errors import ReferenceMismatch
from agent.core.types import Observation
from agent.core.untrusted import parse_kept
from agent.drift.diagnosis.accuracy import Estimate
from agent.drift.judge import DriftJudge
from agent.drift.verdict import DriftVerdict
from agent.references.accuracy_monitor import estimate_fields
from agent.references.alarm_course import AlarmCourse
from agent.references.cause_wording import cause_evidence, cause_fields, explained, with_cause
from agent.references.causes import CameraCauses
from agent.references.history import VerdictHistory
from agent.references.living import carried
from agent.references.outlier_alarm import FrameMonitor, OutlierAlarm
from agent.references.sampling import SampledWindow
from agent.references.store import JUDGE, LARGEST, ReferenceStore
from agent.references.stored import StoredReference
from agent.references.wording import fields_of, observations_of, outlier_fields, outlier_observation

log = structlog.get_logger("vedette.drift")


class WindowJudging:
    """Belongs to the analyst's thread; `budget` is in false alarms a month."""

    def __init__(self, camera: str, causes: CameraCauses, budget: float) -> None:
        self._camera, self._causes, self._budget = camera, causes, budget
        self._stored: StoredReference | None = None
        self._judge: DriftJudge | None = None
        self._frames, self._history, self._course = FrameMonitor(), VerdictHistory(), AlarmCourse()
        self._estimate: Estimate | None = None
        self.verdict: DriftVerdict | None = None
        """The last one by the reference in force."""

    def use(self, stored: StoredReference | None) -> bool:
        """Judge by this reference from now on; False where its values are not those of the one before."""
        before, judge, frames = self._stored, self._judge, self._frames
        self._stored = stored
        if stored is not None and before is not None and stored.id == before.id:
            return True
        self._judge = self._judge_by(stored, judge) if stored else None
        self._frames = FrameMonitor(stored)
        self._causes.reference(stored)
        if stored and stored.lived and self._judge and judge and stored.lived.before == judge.reference.id:
            self._judge.restore(carried(judge.state(), stored))
            self._frames.alarm = frames.alarm
            return True
        self.verdict, self._course = None, AlarmCourse()
        return before is None

    def _judge_by(self, stored: StoredReference, before: DriftJudge | None) -> DriftJudge:
        grown = before is not None and stored.grown_from == before.reference.id
        return DriftJudge(
            stored.reference, self._budget, utc_offset=clock.utc_offset, after=before, grown=grown
        )

    def judge(self, window: SampledWindow, now: float) -> list[Observation]:
        """Judge a closed window at `now` (Unix time); its observations, none without a reference."""
        if self._judge is None or self._stored is None:
            return []
        at = window.sketch.end
        self._estimate = self._causes.accuracy.last(now)
        verdict = self.verdict = self._frames.add(
            window, self._judge.judge(window.sketch, now, synced=clock.synced())
        )
        cause = self._causes.judge(verdict, window.vectors)
        self._history.add(window.sketch, verdict, explained(verdict, self._stored, cause))
        found = [outlier_observation(self._frames.found, self._camera, at)] if self._frames.found else []
        observed = self._course.described(observations_of(verdict, self._stored, at), verdict)
        return [*with_cause(observed, cause), *found]

    @property
    def alarm_since(self) -> float | None:
        """When (Unix time) the drift that an alarm is on for began."""
        return self._frames.alarm.drift_since(self._judge.alarm_since if self._judge is not None else None)

    def calm(self) -> bool:
        """Whether no alarm is on. From any thread."""
        return self.alarm_since is None

    @property
    def features_over(self) -> int:
        """How many features the last verdict has over their limits."""
        return sum(each.over for each in self.verdict.features) if self.verdict is not None else 0

    def set_budget(self, budget: float) -> None:
        """Judge by another budget from now on; what was judged stays."""
        self._budget = budget
        if self._judge is not None:
            self._judge.set_budget(budget)

    def outlier_fields(self) -> dict[str, object]:
        """What the summary has of the last window's frames."""
        return outlier_fields(self._frames.found) if self._frames.found is not None else {}

    def fields(self) -> dict[str, object]:
        """What the summary has of the last verdict; empty where there is none by the reference in force."""
        if self._stored is None or self.verdict is None:
            return {}
        return {
            **fields_of(self.verdict, self._stored.id),
            **cause_fields(self._causes.last),
            **estimate_fields(self._estimate),
        }

    def explanation(self) -> dict[str, Any]:
        """The last verdicts in words, the last windows as one window of sketches, and the cause (None: nothing)."""
        return {
            "history": self._history.verdicts(),
            "recent": self._history.window_body(),
            "cause": cause_evidence(self._causes.last) if self._causes.last is not None else None,
        }

    def to_text(self) -> str | None:
        """What `restore` goes on with, as JSON text; None without a reference."""
        if self._judge is None:
            return None
        states = {"judge": self._judge.state(), "outliers": self._frames.alarm.state()}
        return json.dumps({**states, "history": self._history.verdicts()})

    def restore(self, store: ReferenceStore) -> None:
        """Go on from what was saved; what is damaged or of another reference is left aside."""
        if self._judge is None:
            return
        try:
            kept = parse_kept(store.read(self._camera, JUDGE) or "{}", largest=LARGEST)
            if kept:
                self._restore(kept)
        except (ReferenceMismatch, ValueError, KeyError, TypeError) as error:
            log.warning(
                "the stored drift state cannot be used and is discarded",
                camera=self._camera,
                reason=str(error),
            )

    def _restore(self, kept: Mapping[str, Any]) -> None:
        assert self._judge is not None  # `restore` looked
        self._judge.restore(carried(kept["judge"], self._stored) if self._stored else kept["judge"])
        self._history.restore(kept["history"])
        self._frames.alarm = OutlierAlarm.restore(kept.get("outliers", {}))
