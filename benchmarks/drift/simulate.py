"""False alarms and delays of the product's own judge on simulated streams.

    python -m benchmarks.drift.simulate --out results.jsonl      # everything, on two cores
    python -m benchmarks.drift.tables results.jsonl              # the tables of docs/benchmarks-drift.md

Each trial records references of several lengths from one stream, judges a month without any change by each, and then
many changes, each from a stream of its own that was warmed up without change. Every trial and reference is a line
of JSON. Judging is `replay.py`: the product's functions on many windows at once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.drift.alarm import Alarm
from agent.drift.daily import Daily
from agent.drift.excursions import Excuse
from agent.drift.passing import Passing
from agent.drift.patience import Patience
from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from benchmarks.drift.replay import WINDOW, Evidence, Past, Replay, Watch, looks_of, record
from benchmarks.drift.streams import DAY, Change, Stream, StreamSpec

TAUS = {"5": (5.0,), "20": (20.0,), "60": (60.0,), "mix": (5.0, 20.0, 60.0)}
WORLDS: dict[str, dict[str, Any]] = {
    "steady": {},
    "daily": {"daily": 2.0},
    "weather": {"daily": 2.0, "weather": 0.3},
    "shared weather": {"daily": 2.0, "weather": 0.3, "weather_shared": 0.8},
}
CHANGES: dict[str, dict[str, Any]] = {
    **{f"{shift:g} sigma": {"shift": shift} for shift in (0.25, 0.5, 1.0, 2.0)},
    **{f"variance x{factor:g}": {"variance": factor} for factor in (1.5, 2.0)},
}
COUNTS = (1, 4, 20)
WARM_UP = 720  # windows
DAY_WINDOWS = 1440
STAGES = (5, 15, 40, 60, 120, 240, 480, 480)
"""Windows judged after a change, in stages: what was seen drops out. A day in all; later counts as missed."""


@dataclass(frozen=True)
class Plan:
    """What is simulated of one stream."""

    world: str
    taus: str
    seed: int
    references: tuple[int, ...]
    days: int
    repeats: int

    @property
    def spec(self) -> StreamSpec:
        """The stream."""
        return StreamSpec(taus=TAUS[self.taus], **WORLDS[self.world])


def references(stream: Stream, days: tuple[int, ...]) -> dict[int, Reference]:
    """References of several lengths (days) that all end now, from the last days of the same stream."""
    recordings = {length: Recording(stream.spec.names) for length in days}
    for day in range(max(days)):
        start, values = stream.now, stream.day()
        for length, recording in recordings.items():
            if day >= max(days) - length:
                record(recording, values, start, frames(stream.spec))
    return {
        length: build(recording, camera="simulated", model_sha256="0", feature_version="1", now=stream.now)
        for length, recording in recordings.items()
    }


def frames(spec: StreamSpec) -> int:
    """Frames in a window."""
    return round(WINDOW * spec.rate)


def false_alarms(replays: dict[int, Replay], stream: Stream, days: int) -> dict[int, list[str]]:
    """What each reference raised alarms for while nothing changed."""
    found: dict[int, list[Evidence]] = {length: [] for length in replays}
    for _ in range(days):
        start, values = stream.now, stream.day()
        looks = looks_of(values, frames(stream.spec))
        starts = start + WINDOW * np.arange(len(looks.frames))
        for length, replay in replays.items():
            found[length].append(replay.evidence(looks, starts))
    return {length: quiet(replays[length], *days)[1] for length, days in found.items()}


class Course:
    """One stream, judged piece by piece; `alarms`, windows `inside` alarms, and what was seen. A daily alarm was `raised`
    several times. `normal_until` is when the last alarm's change may have begun, `calm_at` when one was over last as
    nothing was found in a day."""

    def __init__(self, replay: Replay) -> None:
        self.past, self.alarms, self.inside = replay.nothing(), list[str](), 0
        self._start = replay.reference.origin.end
        self._passing, self._passed, self._since, self._lasted = Passing(), 0, 0, 0.0
        self._patience, self._budget = Patience(), replay.budget
        self._alarm, self._daily, self.raised = Alarm(), Daily(), 0
        self.normal_until, self.calm_at = self._start, 0.0
        self._began: float | None = None
        self._watch: Watch | None = None

    @property
    def alarmed(self) -> bool:
        """Whether an alarm is on, also in a pause."""
        return self._daily.since is not None

    @property
    def watched(self) -> bool:
        """Whether an alarm is on, and in no pause."""
        return self._watch is not None

    @property
    def _now(self) -> float:
        """When the last window ended."""
        return self._start + WINDOW * self._passed

    def add(self, replay: Replay, seen: Evidence) -> None:
        """The next windows."""
        at = 0
        while at < len(seen):
            if self._watch is not None:
                at += self._end(replay, seen[at:])
            else:
                at += self._begin(replay, seen[at : at + DAY_WINDOWS])

    def _begin(self, replay: Replay, seen: Evidence) -> int:
        ratios, after = replay.judge([seen], self.past)
        excuse, limit = self.past.excuses[0], self._patience.factor
        found, gone = next(replay.events(ratios, 0, excuse, self._passing, limit), (None, False))
        passed = len(seen) if found is None else found + 1
        self._patience.rest(WINDOW * passed, self._budget)
        if self._daily.pause_ends is not None:
            self.inside += min(passed, round((self._daily.pause_ends - self._now) / WINDOW))
        began = self._now + WINDOW * (passed - 1)
        self._pass(replay, passed if found is None or gone else passed - 1)
        if found is None or gone:
            self.past = replay.nothing() if gone else after
            self.past.excuses[0] = excuse  # carried on to here
            return passed
        self.past = replay.judge([seen[:passed]], self.past)[1]
        self._watch = replay.watch(self._alarm, self.past, seen.weights[found], began, self._patience)
        self.normal_until = began - WINDOW * self._watch.trial.least
        paused = self._daily.since
        self._pass(replay, 1, since=self._now + WINDOW)
        self.raised += 1
        if self._daily.since != paused:
            self.alarms.append(blame(ratios, found, replay))
        self._since, self._lasted = self._passed, self.past.excuses[0].lasted
        return passed

    def _end(self, replay: Replay, seen: Evidence) -> int:
        assert self._watch is not None
        lasted = replay.lasts(self._watch, seen, self._now, self._patience)
        passed = len(seen) if lasted is None else lasted
        self._pass(replay, passed if lasted is None else passed - 1, since=self._began)
        self._note_peak(replay, seen[:passed])
        if lasted is not None:
            self._patience.ended(self._watch.trial.limit if self._watch.vain else 1.0)
            if self._watch.vain:
                self._daily, self.calm_at = Daily(), self._now + WINDOW
            self._pass(replay, 1)
            if self._watch.change is not None and not self._daily.daily:
                since, over = WINDOW * (self._since - self._lasted), WINDOW * self._passed
                self._passing.add(self._watch.change, since, over, WINDOW)
            self._watch, self.past = None, replay.nothing()
            self.past.excuses[0] = Excuse(calm=0)
        self.inside += passed
        return passed

    def _pass(self, replay: Replay, windows: int, since: float | None = None) -> None:
        """So many windows pass while the alarm is on `since` then, or off."""
        for _ in range(windows):
            kind, self._passed = replay.kind_of(self._now), self._passed + 1
            paused = self._daily.pause_ends is not None
            self._daily.step(since, self._now, WINDOW, kind, again=self._alarm.again)
            if paused and self._daily.since is None:
                self.calm_at = self._now
        self._began = since

    def grow(self, before: Replay, to: Replay) -> None:
        """Go on by the reference that the one before has grown to: no alarm is on."""
        known = before.calibration.refinement, to.calibration.refinement
        self._passing, self.past = self._passing.converted(*known), to.nothing()
        to.new_days = before.new_days

    def _note_peak(self, replay: Replay, seen: Evidence) -> None:
        ratios, self.past = replay.judge([seen], self.past)
        self._patience.during(float(ratios.top.max()))
        self._patience.rest(WINDOW * len(seen), self._budget)


def quiet(replay: Replay, *pieces: Evidence) -> tuple[Past, list[str], int]:
    """Judge one stream, piece by piece: what was seen, the alarms raised, and the windows in alarm."""
    course = Course(replay)
    for piece in pieces:
        course.add(replay, piece)
    return course.past, course.alarms, course.inside


def blame(ratios: Any, at: int, replay: Replay) -> str:
    """What raised an alarm, in words."""
    names = replay.reference.origin.features
    parts = {
        "joint": ratios.joint[at, 0],
        _column(names, int(ratios.columns[at, 0].argmax())): ratios.columns[at, 0].max(),
        "shape " + names[int(ratios.shape[at, 0].argmax())]: ratios.shape[at, 0].max(),
    }
    parts["pairs"] = ratios.pairs[at, 0]
    best = max(parts, key=parts.__getitem__)
    return f"{best} {parts[best]:.2f}"


def _column(names: tuple[str, ...], column: int) -> str:
    return "feature " + names[column] if column < len(names) else f"common factor {column - len(names) + 1}"


def delays(plan: Plan, replays: dict[int, Replay], start: float) -> dict[int, dict[str, list[float | None]]]:
    """Minutes from a change to the alarm by reference, change and number of features; None where it was missed."""
    cases = [(name, count) for name in CHANGES for count in COUNTS]
    found: dict[int, dict[str, list[float | None]]] = {
        length: {f"{name} / {count}": [] for name, count in cases} for length in replays
    }
    for repeat in range(plan.repeats):
        # Changes come at different hours: what is normal moves faster at some than at others.
        began = start + DAY * repeat + 3600.0 * ((7 * repeat) % 24)
        warm = _stream(plan, repeat, began - WINDOW * WARM_UP)
        looks = looks_of(warm.run(WINDOW * WARM_UP), frames(plan.spec))
        starts = began + WINDOW * np.arange(-WARM_UP, 0)
        for length, replay in replays.items():
            past = quiet_past(replay, looks, starts)
            for (name, count), took in zip(
                cases, _race(plan, replay, past, warm, cases, repeat), strict=True
            ):
                found[length][f"{name} / {count}"].append(took)
    return found


def quiet_past(replay: Replay, looks: Any, starts: NDArray[np.floating]) -> Past:
    """The past after a warm-up."""
    return quiet(replay, replay.evidence(looks, starts))[0]


def _stream(plan: Plan, repeat: int, start: float) -> Stream:
    """The same camera at another time: its cycles are the seed's, its noise is new."""
    stream = Stream(plan.spec, plan.seed, start)
    stream.reseed(10_000 * plan.seed + repeat)
    stream.forget()
    return stream


def _race(
    plan: Plan, replay: Replay, past: Past, warm: Stream, cases: list[tuple[str, int]], repeat: int
) -> list[float | None]:
    """Minutes until each case is seen: all go on from the same past, each with noise of its own."""
    streams = [warm.twin(100_000 * plan.seed + 100 * repeat + number) for number in range(len(cases))]
    changes = [Change(features=count, first=repeat, **CHANGES[name]) for name, count in cases]
    took: list[float | None] = [None] * len(cases)
    left, pasts, gone = np.arange(len(cases)), past.of(np.zeros(len(cases), dtype=int)), 0
    for stage in STAGES:
        starts = warm.now + WINDOW * (gone + np.arange(stage))
        each = [
            replay.evidence(looks_of(streams[i].run(WINDOW * stage, changes[i]), frames(plan.spec)), starts)
            for i in left
        ]
        ratios, pasts = replay.judge(each, pasts)
        firsts = [replay.first_alarm(ratios, place, pasts.excuses[place]) for place in range(len(left))]
        for place, first in enumerate(firsts):
            took[left[place]] = None if first is None else float(gone + first + 1) * WINDOW / 60.0
        unseen = np.array([first is None for first in firsts])
        left, pasts, gone = left[unseen], pasts.of(np.flatnonzero(unseen)), gone + stage
        if not left.size:
            break
    return took


def trial(plan: Plan) -> list[dict[str, Any]]:
    """One stream: its references, a quiet month by each, and delays by each; one result per reference."""
    began = time.monotonic()
    stream = Stream(plan.spec, plan.seed)
    replays = {length: Replay(made) for length, made in references(stream, plan.references).items()}
    after = stream.now
    alarms = false_alarms(replays, stream, plan.days)
    late = delays(plan, replays, after)
    return [
        {
            "world": plan.world,
            "taus": plan.taus,
            "seed": plan.seed,
            "reference_days": length,
            "quiet_days": plan.days,
            "false_alarms": alarms[length],
            "delays": late[length],
            "seconds": round(time.monotonic() - began, 1),
        }
        for length in plan.references
    ]


def plans(options: argparse.Namespace) -> Iterator[Plan]:
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for taus in options.taus.split(","):
            for world in options.worlds.split(","):
                lengths = tuple(map(int, options.references.split(",")))
                yield Plan(world, taus, seed, lengths, options.days, options.repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default="steady,daily,weather,shared weather")
    parser.add_argument("--taus", default="5,20,60,mix")
    parser.add_argument("--references", default="1,3,7", help="days")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30, help="quiet days judged")
    parser.add_argument("--repeats", type=int, default=10, help="trials of each change")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="file that lines of JSON are appended to")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool, options.out.open("a") as file:
        for results in pool.map(trial, plans(options)):
            for result in results:
                file.write(json.dumps(result) + "\n")
                shown = {
                    **result,
                    "delays": {name: median(times) for name, times in result["delays"].items()},
                }
                print(*shown.values(), flush=True)
            file.flush()


def median(times: list[float | None]) -> float:
    """Median delay in minutes; infinite where most changes were missed."""
    filled = [np.inf if each is None else each for each in times]
    return float(np.sort(filled)[len(filled) // 2]) if filled else np.nan


if __name__ == "__main__":
    main()
