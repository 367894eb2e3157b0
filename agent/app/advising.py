"""Advice on each camera's drift: published where it changed, and the command `advice`. Both have the same words.

analysis    a window closes: what is known of the camera's drift (references/monitors.py)
references  what is on disk is added, the labelled samples; drift/advice.py decides; published where it changed
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.app.drift_minutes import minutes_of
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.types import Draft
from agent.delivery.messages import advice_draft
from agent.drift.advice import Situation, advise
from agent.drift.course import DAY, SLOT_SECONDS, UNKNOWN_COURSE, Course, course
from agent.maintenance.samples.accuracy import accuracy, counts_of
from agent.maintenance.samples.sample import AUDIT, Sample
from agent.maintenance.samples.store import SampleStore
from agent.references.accuracy_monitor import rounded_fields
from agent.references.monitors import DriftMonitors

WEEK = 7 * DAY
DETAIL_SECONDS = 600.0
"""Figures change with each window: they are published anew no more often."""

_NEWS = ("action", "cause", "drift_since", "change", "returns", "samples_labelled")


class Advisor:
    """`golden` gives the state of the golden check; `publish` takes what is new."""

    def __init__(
        self,
        references: DriftMonitors,
        state_directory: Path,
        *,
        golden: Callable[[], str],
        publish: Callable[[Draft], None],
    ) -> None:
        self._references, self._samples = references, SampleStore(state_directory)
        self._golden, self._publish = golden, publish
        self._state, self._lock = state_directory, threading.Lock()
        self._courses: dict[str, tuple[float, float, Course]] = {}
        """By camera: of which alarm, how long that has to have lasted for the next look, and what was found.

        Under the lock: the writer's thread and those that answer commands look it up.
        """
        self._labelled: dict[str, tuple[tuple[float, int], list[Sample]]] = {}
        """By camera: the samples that were found, and of which alarm and labelling; under the lock, too."""
        self._published: dict[str, tuple[Mapping[str, Any], float]] = {}
        """What was published last, and when (steady time); the writer's thread alone."""

    def window(self, camera: str) -> None:
        """A window of this camera has closed; in the analyst's thread."""
        situation = self._references.situation(camera)
        if situation is not None:
            self._references.writer.ask(f"advise on camera {camera}", lambda: self._advise(situation))

    def remove(self, camera: str) -> None:
        """A camera was removed: its advice is published again should it come back."""

        def end() -> None:
            self._published.pop(camera, None)
            with self._lock:
                self._courses.pop(camera, None)
                self._labelled.pop(camera, None)

        self._references.writer.ask(f"end the advice on camera {camera}", end)

    def handlers(self) -> dict[str, Handler]:
        """The command `advice`."""
        return {"advice": self._answer}

    def _answer(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        situations = self._references.situations(args)
        return {"cameras": [{"camera": one.camera, **self._body(one, listed=True)} for one in situations]}

    def _advise(self, situation: Situation) -> None:
        """Publish what changed; in the writer's thread."""
        body = self._body(situation, listed=False)
        now, (known, at) = clock.now(), self._published.get(situation.camera, ({}, 0.0))
        news = any(body[name] != known.get(name) for name in _NEWS)
        if news or (body != known and not 0 <= now - at < DETAIL_SECONDS):
            self._published[situation.camera] = body, now
            self._publish(advice_draft(situation.camera, body))

    def _body(self, known: Situation, *, listed: bool) -> dict[str, Any]:
        """The advice as it is published, or with the evidence as lists."""
        drawn = self._drawn(known)
        situation = replace(
            known,
            right_ratio=_right_ratio(drawn),
            labelled=len(drawn),
            course=self._course(known),
            golden=self._golden(),
        )
        advice = advise(situation)
        return {
            "action": advice.action.value,
            "words": advice.words,
            "command": advice.command,
            "for_it": list(advice.for_it) if listed else "; ".join(advice.for_it),
            "against": list(advice.against) if listed else "; ".join(advice.against),
            "cause": situation.cause,
            "cause_confidence": situation.confidence,
            "drift_since": situation.since,
            "features_over": situation.features,
            "change": situation.course.change,
            "change_since": situation.course.since,
            "returns": "daily" if situation.course.daily else "",
            **rounded_fields(situation.accuracy),
            "samples_labelled": situation.labelled,
        }

    def _course(self, situation: Situation) -> Course:
        """How the drift came; looked up again once it has lasted a tenth longer."""
        since, lasts, camera = situation.since, situation.lasts, situation.camera
        if since is None or lasts is None:
            return UNKNOWN_COURSE
        with self._lock:
            known = self._courses.get(camera)
            if known is None or known[0] != since or lasts > known[1]:
                found = course(minutes_of(self._state, camera, since - WEEK), since)
                known = self._courses[camera] = since, max(lasts + SLOT_SECONDS, 1.1 * lasts), found
            return known[2]

    def _drawn(self, situation: Situation) -> list[Sample]:
        """The samples that were drawn at random since the drift began, and labelled; read again once more are."""
        since, camera, labelled_at = situation.since, situation.camera, self._samples.labelled_at()
        if since is None:
            return []
        with self._lock:
            known = self._labelled.get(camera)
            if known is None or known[0] != (since, labelled_at):
                found = [
                    one.sample
                    for one in self._samples.samples(camera)
                    if one.sample.reason == AUDIT
                    and one.sample.labels is not None
                    and one.sample.captured_at >= since
                ]
                known = self._labelled[camera] = (since, labelled_at), found
            return known[1]


def _right_ratio(drawn: list[Sample]) -> float | None:
    """The lower end of F1's interval by these samples; None: too few."""
    interval = accuracy(counts_of(drawn)).f1_interval if drawn else None
    return interval.low if interval is not None else None
