"""Corruptions of real videos, found by the product's own judge: which, after how long, by which features (measure C).

    python -m benchmarks.drift.video                 # makes the feature vectors first (once, tens of minutes)
    python -m benchmarks.drift.video --out docs/benchmarks-drift-video.md

A stream is made of a video's loop, started at random frames, in takes whose light and noise wander mildly; a
reference is recorded from it (a day, and an hour), two days follow without any change, and then each corruption at
each severity from a fresh copy of the judge. Corrupted clips wander in a way that the reference has not seen, and so do
the controls, which are not corrupted. Minutes are simulated; every window is judged as the agent does.
"""

from __future__ import annotations

import argparse
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from agent.drift.judge import DriftJudge
from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from agent.drift.sketch import Window, WindowSketch
from agent.drift.verdict import DriftVerdict
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.wording import named
from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.video_features import (
    CLEAN_TAKES,
    SAMPLED_FPS,
    SEVERITIES,
    UNSEEN_TAKES,
    VIDEOS,
    make,
    path_of,
)

FOLDER = Path(__file__).resolve().parents[2] / "build" / "drift-video"
WINDOW = 60.0
START = 1_790_000_000.0 // 86400 * 86400
PATIENCE_MINUTES = 60
QUIET_HOURS = 48
BUDGET = 1.0
SMOOTH = [
    number
    for number, name in enumerate(FEATURES)
    if not name.startswith(("box", "confidence", "near", "suppressed"))
]
NOT_NEGATIVE = [
    number for number in SMOOTH if not FEATURES[number].startswith(("warmth", "tint", "embedding"))
]
CONTROL = "no corruption, unseen take"
LENGTHS = {"a day": 24 * 60, "an hour": 60}


@dataclass(slots=True)
class Stream:
    """Windows made of cached vectors: each window a piece of the loop in one take, which changes now and then."""

    takes: list[tuple[np.ndarray, np.ndarray]]
    random: np.random.Generator
    now: float = START
    at: int = 0
    mixed: tuple[int, int, float] = (0, 0, 0.0)

    def windows(self, count: int) -> Iterator[WindowSketch]:
        """The next `count` windows."""
        per_window = round(WINDOW * SAMPLED_FPS)
        offsets = np.arange(per_window) / SAMPLED_FPS
        collector = Window("video", FEATURES, FEATURE_VERSION, interval=1 / SAMPLED_FPS)
        for _ in range(count):
            if self.random.random() < 0.3:  # the light stays as it is for some minutes
                first, second = self.random.integers(len(self.takes), size=2).tolist()
                self.mixed = first, second, float(self.random.uniform(-0.5, 1.5))
            vectors, classes = self._between(*self.mixed)
            if self.random.random() < 0.2:  # looped from a random start
                self.at = int(self.random.integers(len(vectors)))
            places = (self.at + np.arange(per_window)) % len(vectors)
            self.at = int(places[-1]) + 1
            seen = classes[places].sum(axis=0)
            collector.extend(vectors[places], np.repeat(np.arange(seen.size), seen), at=self.now + offsets)
            yield collector.close(self.now, self.now + WINDOW)
            self.now += WINDOW

    def _between(self, first: int, second: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        """A take between (or a little beyond) two: what is smooth is interpolated, boxes are those of the first."""
        one, other = self.takes[first % len(self.takes)], self.takes[second % len(self.takes)]
        vectors = one[0].copy()
        vectors[:, SMOOTH] += share * (other[0][:, SMOOTH] - one[0][:, SMOOTH])
        vectors[:, NOT_NEGATIVE] = np.maximum(vectors[:, NOT_NEGATIVE], 0.0)
        return vectors, one[1]


def load(video: str, kind: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip's vectors and classes."""
    kept = np.load(path_of(FOLDER, video, kind, number))
    return kept["vectors"], kept["classes"]


def reference_of(stream: Stream, minutes: int) -> Reference:
    """A reference of the stream's next minutes."""
    recording = Recording(FEATURES)
    for window in stream.windows(minutes):
        recording.add(window)
    return build(recording, camera="video", model_sha256="0", feature_version=FEATURE_VERSION, now=stream.now)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a corruption: minutes to the alarm (None: not in an hour) and the features it named."""

    minutes: float | None
    features: tuple[str, ...]


def corrupted(judge: DriftJudge, stream: Stream, clip: tuple[np.ndarray, np.ndarray]) -> Found:
    """Corrupt the stream from now on and judge until the alarm."""
    state, judge = judge.state(), DriftJudge(judge.reference, BUDGET)
    judge.restore(state)
    changed = Stream([clip], copy.deepcopy(stream.random), stream.now, stream.at)
    for number, window in enumerate(changed.windows(PATIENCE_MINUTES), 1):
        verdict = judge.judge(window, window.end)
        if verdict.alarm:
            return Found(number * WINDOW / 60, names(verdict))
    return Found(None, ())


def names(verdict: DriftVerdict) -> tuple[str, ...]:
    """The features that the alert would name."""
    return tuple(each.feature for each in named(verdict))


def quiet(judge: DriftJudge, stream: Stream, hours: float) -> list[str]:
    """What was said while nothing changed: what each alarm was for."""
    said, since = [], None
    for window in stream.windows(round(hours * 60)):
        verdict = judge.judge(window, window.end)
        if verdict.alarm_since not in (None, since):
            since = verdict.alarm_since
            said.append(f"{names(verdict)[0]} {verdict.ratio:.2f}")
    return said


def measure() -> tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str, str, int], Found]]:
    """False alarms by (video, reference length) and what was found by (video, length, corruption, severity)."""
    false: dict[tuple[str, str], list[str]] = {}
    found: dict[tuple[str, str, str, int], Found] = {}
    work = [(video, length) for video in VIDEOS for length in LENGTHS]
    for video, length in track(work, description="judging"):
        takes = [load(video, "clean", take) for take in range(CLEAN_TAKES - UNSEEN_TAKES)]
        stream = Stream(takes, np.random.default_rng(7))
        judge = DriftJudge(reference_of(stream, LENGTHS[length]), BUDGET)
        # an hour's reference knows one hour: what is judged by it lies in that hour and the next
        false[video, length] = quiet(judge, stream, QUIET_HOURS if length == "a day" else 0.75)
        if judge.alarm:  # start the corruptions from a quiet judge
            judge = DriftJudge(judge.reference, BUDGET)
        for number in range(UNSEEN_TAKES):
            clip = load(video, "clean", CLEAN_TAKES - 1 - number)
            found[video, length, CONTROL, number] = corrupted(judge, stream, clip)
        for name in CORRUPTIONS:
            for severity in SEVERITIES:
                clip = load(video, name, severity)
                found[video, length, name, severity] = corrupted(judge, stream, clip)
    return false, found


def cell(each: Found) -> str:
    return "-" if each.minutes is None else f"{each.minutes:.0f}"


def tables(false: dict[tuple[str, str], list[str]], found: dict[tuple[str, str, str, int], Found]) -> str:
    """The results in Markdown."""
    lines = [
        "### While nothing changes",
        "",
        "| video | reference | hours judged | alarms | for |",
        "|---|---|---|---|---|",
    ]
    for (video, length), said in false.items():
        hours = QUIET_HOURS if length == "a day" else 0.75
        lines.append(f"| {video} | {length} | {hours:g} | {len(said)} | {', '.join(said) or '-'} |")
    for length in LENGTHS:
        lines += ["", f"### Minutes to the alarm, reference of {length}", ""]
        lines += [
            "| corruption | " + " | ".join(VIDEOS) + " | named most |",
            "|---|" + "---|" * (len(VIDEOS) + 1),
        ]
        for name in (CONTROL, *CORRUPTIONS):
            cells = [
                " / ".join(
                    cell(each)
                    for (of, by, what, _), each in found.items()
                    if (of, by, what) == (video, length, name)
                )
                for video in VIDEOS
            ]
            counts = Counter(
                feature
                for (_, of, what, _), each in found.items()
                if of == length and what == name
                for feature in each.features[:3]
            )
            most = ", ".join(f"`{feature}`" for feature, _ in counts.most_common(4))
            lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} | {most} |")
        caught = {
            severity: [
                each.minutes
                for (_, of, what, number), each in found.items()
                if of == length and what != CONTROL and number == severity
            ]
            for severity in SEVERITIES
        }
        lines += ["", "| severity | caught | median minutes |", "|---|---|---|"]
        for severity, minutes in caught.items():
            times = [each for each in minutes if each is not None]
            lines.append(
                f"| {severity} | {len(times)} of {len(minutes)} | {np.median(times) if times else '-'} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, help="put the tables into this file, below its line of '## Results'"
    )
    args = parser.parse_args()
    make(FOLDER)
    text = tables(*measure())
    print(text)
    if args.out:
        head = args.out.read_text(encoding="utf-8").partition("## Results\n")[0] if args.out.exists() else ""
        args.out.write_text(f"{head}## Results\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
