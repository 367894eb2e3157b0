"""The course of a drift alarm in words: a headline while it is on, and what it was once it is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from agent.alerts.words import duration
from agent.core.counts import figures
from agent.core.types import Observation
from agent.drift.alarm import CALM
from agent.drift.verdict import DriftVerdict
from agent.features import FAMILIES
from agent.references.wording import largest_sigmas, named, size_word

EVENT_SECONDS = 1800.0
"""What is over within half an hour was an event in view rather than a drift."""

ENDED_SECONDS = 1200.0
"""For so long the end of an alarm is described: an alert that flaps resolves a quarter of an hour later."""

_LARGE = 3.0  # sigma
_MOST_SIGMAS = 99.0
_IMAGE, _MOTION, _BOXES = ({feature.name for feature in family.features} for family in FAMILIES[:3])


class AlarmCourse:
    """Follows the verdicts of one camera: when its alarm began, and the largest change while it was on."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._largest = 0.0
        self._about: tuple[str, ...] = ()
        self._ended, self._ended_at = "", 0.0

    def _follow(self, verdict: DriftVerdict) -> None:
        if verdict.alarm and verdict.judged:
            self._note(verdict)
        elif not verdict.alarm and self._began is not None:
            gone = verdict.end - CALM * (verdict.end - verdict.start)
            self._ended, self._ended_at = self._in_words(max(gone - self._began, 60.0)), verdict.end
            self._began = None
        elif verdict.end - self._ended_at > ENDED_SECONDS:
            self._ended = ""

    def _note(self, verdict: DriftVerdict) -> None:
        about = named(verdict)
        if self._began is None:
            since = verdict.end if verdict.alarm_since is None else verdict.alarm_since
            self._began = since - 60.0 * (about[0].minutes if about else 1.0)
            self._largest, self._ended = 0.0, ""
        size = largest_sigmas(about)
        if size >= self._largest:
            self._largest, self._about = size, tuple(each.feature for each in about[:2])

    def described(self, observations: Sequence[Observation], verdict: DriftVerdict) -> list[Observation]:
        """The observations of the next verdict, that of `drift.ratio` with the headline, and with what it was."""
        self._follow(verdict)
        headline = self._headline(verdict)
        return [
            dataclasses.replace(one, headline=headline, ended=self._ended)
            if one.metric == "drift.ratio"
            else one
            for one in observations
        ]

    @staticmethod
    def _headline(verdict: DriftVerdict) -> str:
        """How large the change is, and in what; empty where nothing is judged, or no alarm is on."""
        about = named(verdict) if verdict.alarm and verdict.judged else ()
        return f"{size_word(largest_sigmas(about))} of {about[0].feature}" if about else ""

    def _in_words(self, seconds: float) -> str:
        """What it was: `something large in view for 10 min; brightness and contrast were up to 8 sigma off`."""
        names = " and ".join(name.replace("_", " ") for name in self._about)
        were = "was" if len(self._about) == 1 else "were"
        size = f"; {names} {were} up to {figures(min(self._largest, _MOST_SIGMAS), 2)} sigma off"
        return f"{self._kind(seconds)} for {duration(seconds)}{size if self._largest > 0 else ''}; it is over"

    def _kind(self, seconds: float) -> str:
        if seconds > EVENT_SECONDS:
            return "a drift"
        if self._largest < _LARGE:
            return "an unusual scene"
        first = self._about[0] if self._about else ""
        if first in _IMAGE | _MOTION:
            return "something large in view, or another light,"
        return "unusual objects in view" if first in _BOXES else "something unknown to the model in view"
