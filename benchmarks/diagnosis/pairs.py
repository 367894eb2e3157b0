"""How often two causes at once are named: two faults by other code than the signatures', one after the other.

    python -m benchmarks.diagnosis.pairs VIDEO ... > table.md        about a minute a camera, on one core

Signatures are learnt on one half of a video, faults are in frames of the other. Beside the pairs each fault alone: a
second cause is named of those, too, where it is none.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.drift.diagnosis.diagnose import concluded
from agent.drift.diagnosis.learn import STEPS, Learner, sample
from agent.drift.diagnosis.match import match, shift_of
from agent.drift.diagnosis.portrait import PortraitComparison
from benchmarks.diagnosis import faults
from benchmarks.diagnosis.run import KEPT, NOW, USUAL, frames_of, spread, verdict


def defocus(image: Any, severity: int, _random: np.random.Generator) -> Any:
    return cv2.GaussianBlur(image, (0, 0), (1.2, 1.8, 2.6, 3.6, 5.0)[severity - 1])


def noise(image: Any, severity: int, random: np.random.Generator) -> Any:
    grain = random.normal(0, (8, 14, 20, 28, 38)[severity - 1], image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


FAULTS: dict[str, faults.Fault] = {
    "moved": faults.moved, "fog": faults.haze, "low_light": faults.dark, "overexposure": faults.gain,
    "colour_cast": faults.lamp, "infrared": faults.infrared, "cover": faults.cover, "dirt": faults.dirt,
    "defocus": defocus, "motion_blur": faults.shake, "noise": noise, "compression": faults.webp,
}  # fmt: skip
"""In the order in which light meets them."""

PAIRS = (
    ("fog", "low_light"), ("dirt", "defocus"), ("fog", "dirt"), ("low_light", "defocus"), ("low_light", "colour_cast"),
    ("low_light", "dirt"), ("overexposure", "defocus"), ("fog", "infrared"), ("low_light", "compression"),
    ("cover", "defocus"), ("infrared", "dirt"), ("moved", "defocus"), ("moved", "low_light"),
)  # fmt: skip
_SEVERITIES = ((2, 2), (2, 4), (4, 2), (3, 3), (4, 4))


def trials(now: Sequence[Any]) -> list[tuple[tuple[str, ...], list[Any]]]:
    """The right causes and the frames of each trial."""

    def hurt(frames: Sequence[Any], cause: str, severity: int) -> list[Any]:
        return [FAULTS[cause](each, severity, np.random.default_rng(severity)) for each in frames]

    alone: list[tuple[tuple[str, ...], list[Any]]] = [
        ((cause,), hurt(now, cause, severity)) for cause in FAULTS for severity in (1, 2, 3, 4, 5)
    ]
    both: list[tuple[tuple[str, ...], list[Any]]] = [
        ((first, second), hurt(hurt(now, first, one), second, other))
        for first, second in PAIRS
        for one, other in _SEVERITIES
    ]
    return alone + both


def answers(name: str) -> list[tuple[tuple[str, ...], str, str]]:
    """Of each trial the right causes, the cause that is told and what is told besides."""
    frames = frames_of(name)
    before, after = frames[: len(frames) // 2], frames[len(frames) // 2 :]
    learner = Learner(spread(before, KEPT), name)
    for step in STEPS:
        learner.add(step)
    signatures = learner.result()
    compare = PortraitComparison(signatures.portrait)
    usual = np.percentile(sample(spread(before, USUAL)).vectors, (10, 50, 90), axis=0)
    found = []
    for right, changed in trials(spread(after, NOW)):
        seen = sample(changed)
        now = np.nanmedian(seen.vectors, axis=0)
        shift = shift_of(now, *usual, traits=compare(seen.portrait))
        told = concluded(verdict(now, usual), signatures, match(shift, signatures.none, signatures.curves))
        found.append((right, told.cause, told.also))
    return found


def row(name: str, found: Sequence[tuple[tuple[str, ...], str, str]]) -> str:
    pairs = [each for each in found if len(each[0]) == 2]
    alone = [each for each in found if len(each[0]) == 1]
    named = [each for each in pairs if each[2]]
    both = sum(set(right) == {cause, also} for right, cause, also in named)
    shares = [
        sum(cause in right for right, cause, _ in pairs) / len(pairs),
        len(named) / len(pairs),
        both / len(pairs),
        both / max(len(named), 1),
        sum(bool(also) for _, _, also in alone) / len(alone),
    ]
    return (
        f"| {name} | {len(pairs)} | " + " | ".join(f"{each:.1%}" for each in shares) + f" of {len(alone)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cameras", nargs="+")
    print(
        "| camera | pairs | the cause told is one of them | a second is named | both right | of those named | one alone |"
    )
    print("|---|---|---|---|---|---|---|")
    every = []
    for name in parser.parse_args().cameras:
        found = answers(name)
        every += found
        print(row(Path(name).stem, found), flush=True)
    print(row("all", every))


if __name__ == "__main__":
    main()
