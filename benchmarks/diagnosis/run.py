"""How often the cause is named: signatures of one half of a video, faults by other code in frames of the other half.

    python -m benchmarks.diagnosis.run VIDEO ... > table.md        some minutes a video, on one core

Needs `pip install imagecorruptions scikit-image setuptools`. Drawn cameras are named LAYOUT.SEED: `street.1`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.cameras.kinds.synthetic.drawing.disturbances import EFFECTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.diagnose import UNKNOWN as NOT_TOLD
from agent.drift.diagnosis.diagnose import concluded
from agent.drift.diagnosis.learn import STEPS, Learner, sample, small
from agent.drift.diagnosis.match import IMAGE_FEATURES, match, shift_of
from agent.drift.diagnosis.portrait import PortraitComparison
from agent.drift.verdict import DriftVerdict, FeatureVerdict
from benchmarks.diagnosis import faults

KEPT, NOW, USUAL = 12, 6, 24


def frames_of(name: str) -> list[Any]:
    """A camera's frames, two a second."""
    if not Path(name).exists():
        layout, seed = name.split(".")
        scene = Scene(layout, int(seed), 640, 360)
        return [np.array(scene.draw(at / 2, 12.0, at).image) for at in range(100)]
    video, found, at = cv2.VideoCapture(name), [], 0.0
    step, index = video.get(cv2.CAP_PROP_FPS) / 2, 0
    while (read := video.read())[0]:
        if index >= at:
            found.append(small(read[1]))
            at += step
        index += 1
    return found


def spread(frames: list[Any], count: int) -> list[Any]:
    return [frames[int(place)] for place in np.linspace(0, len(frames) - 1, count)]


def trials(now: list[Any], others: dict[str, list[Any]]) -> list[tuple[str, str, list[Any]]]:
    """The right answer, the source and the frames of each."""
    found = []
    severities = {1: (1, 2, 3, 4, 5), 2: (1, 3, 5), 3: (2, 4)}
    for cause, implementations in faults.known().items():
        for number, fault in enumerate(implementations):
            for severity in severities[len(implementations)]:
                frames = [fault(each, severity, np.random.default_rng(7 * severity + number)) for each in now]
                found.append((cause, f"{cause} {number + 1}, {severity}", frames))
    for severity, factor in ((1, 38), (3, 44), (5, 50)):
        found.append(("compression", f"libx264, {severity}", faults.h264(now, factor)))
    found += [
        (cause, f"demo {effect}, {strength}", [EFFECTS[effect](each, strength) for each in now])
        for effect, cause in faults.DEMO.items()
        for strength in (0.3, 0.6, 1.0)
    ]
    for name, fault in faults.UNKNOWN.items():
        for severity in (1, 3, 5):
            seeds = range(len(now)) if name == "strangers" else [0] * len(now)
            changed = [
                fault(each, severity, np.random.default_rng(severity + seed))
                for each, seed in zip(now, seeds, strict=True)
            ]
            found.append((name, f"{name}, {severity}", changed))
    for name, frames in others.items():
        found.append(
            (
                "other_scene",
                f"scene of {Path(name).stem}",
                [cv2.resize(each, now[0].shape[1::-1]) for each in frames],
            )
        )
    shape = now[0].shape[1::-1]
    return [
        (right, source, [each if each.shape[1::-1] == shape else cv2.resize(each, shape) for each in frames])
        for right, source, frames in found
    ]


def verdict(now: Any, usual: Any) -> DriftVerdict:
    """A verdict in which the image's features are over their limits."""
    features = tuple(
        FeatureVerdict(
            feature=name, aspect="location", score=0.0, limit=1.0, ratio=2.0, minutes=1.0, shift=0.0, distances={},
            distance_minutes=1.0, now=(now[i],) * 3, then=tuple(usual[:, i]),
        )
        for i, name in enumerate(IMAGE_FEATURES)
    )  # fmt: skip
    return DriftVerdict(
        camera="", start=0.0, end=0.0, judged=True, reason="", provisional=False, ratio=2.0, familiar=False, joint=0.0,
        joint_limit=1.0, joint_minutes=1.0, hour=0, features=features, classes=None, alarm=True, alarm_since=0.0,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cameras", nargs="+")
    cameras = {name: frames_of(name) for name in parser.parse_args().cameras}
    halves = {name: (each[: len(each) // 2], each[len(each) // 2 :]) for name, each in cameras.items()}
    answers: dict[str, list[tuple[str, str, str]]] = {}
    by_camera: dict[str, dict[str, list[tuple[str, str, str]]]] = {}
    for name, (before, after) in halves.items():
        learner = Learner(spread(before, KEPT), name)
        for step in STEPS:
            learner.add(step)
        signatures, compare = learner.result(), PortraitComparison(learner.result().portrait)
        usual = np.percentile(sample(spread(before, USUAL)).vectors, (10, 50, 90), axis=0)
        others = {other: spread(each[1], NOW) for other, each in halves.items() if other != name}
        for right, source, frames in trials(spread(after, NOW), others):
            seen = sample(frames)
            now = np.nanmedian(seen.vectors, axis=0)
            found = match(
                shift_of(now, *usual, traits=compare(seen.portrait)), signatures.none, signatures.curves
            )
            told = concluded(verdict(now, usual), signatures, found)
            ranked = [each.cause for each in found.candidates[:2]]
            for table in (answers, by_camera.setdefault(Path(name).stem, {})):
                table.setdefault(right, []).append((ranked[0], ranked[1], told.cause))
            if right in CAUSES and ranked[0] != right:
                print(f"<!-- {Path(name).stem}: {source}: {ranked[0]}, {ranked[1]} -->")
        print(summary(Path(name).stem, by_camera[Path(name).stem]), flush=True)
    print(
        "\n| camera | n | first | first two | told right | of unknown ones not named |\n|---|---|---|---|---|---|"
    )
    for camera, table in by_camera.items():
        print(summary(camera, table))
    print(summary("all", answers), "\n")
    report(answers)


def summary(name: str, answers: dict[str, list[tuple[str, str, str]]]) -> str:
    """A camera in a row: shares of the trials with known causes, and of those with none."""
    known = [(right, *each) for right, all_of in answers.items() if right in CAUSES for each in all_of]
    others = [each for right, all_of in answers.items() if right not in CAUSES for each in all_of]
    right = [
        sum(one == best for one, best, _, _ in known),
        sum(one in (best, second) for one, best, second, _ in known),
        sum(one == said for one, _, _, said in known),
    ]
    shares = [each / max(len(known), 1) for each in right]
    quiet = sum(said not in CAUSES for _, _, said in others) / max(len(others), 1)
    return f"| {name} | {len(known)} | " + " | ".join(f"{each:.1%}" for each in [*shares, quiet]) + " |"


def report(answers: dict[str, list[tuple[str, str, str]]]) -> None:
    known = [(right, *each) for right, all_of in answers.items() if right in CAUSES for each in all_of]
    columns = [*CAUSES, "other_scene", "none", NOT_TOLD, "population"]
    print("| | n | first | first two | told right |" + "".join(f" {name} |" for name in columns))
    print("|---|" + "---|" * (4 + len(columns)))
    for right, each in answers.items():
        counts = Counter(told for _, _, told in each)
        first = sum(one == right for one, _, _ in each) if right in CAUSES else "-"
        two = sum(right in (one, other) for one, other, _ in each) if right in CAUSES else "-"
        wanted = {right} if right in CAUSES else {"other_scene", "none", NOT_TOLD, "population"}
        ok = sum(counts[name] for name in wanted)
        print(
            f"| {right} | {len(each)} | {first} | {two} | {ok} |"
            + "".join(f" {counts[name] or ''} |" for name in columns)
        )
    total = len(known)
    print(
        f"\nOf {total}: first {sum(a == b for a, b, _, _ in known) / total:.1%}, among the first two "
        f"{sum(a in (b, c) for a, b, c, _ in known) / total:.1%}, told right {sum(a == d for a, _, _, d in known) / total:.1%}."
    )


if __name__ == "__main__":
    main()
