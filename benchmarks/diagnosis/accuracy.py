"""How far off the estimate of accuracy is: learnt on parts of a video, asked on the others, under faults by other code.

    python -m benchmarks.diagnosis.accuracy MODEL.onnx VIDEO ...        10 minutes a video, on one core

Needs `pip install imagecorruptions scikit-image setuptools`. Of eight equal parts of a video every second one is known, and
the others are now: of these every second frame is calm, and the others are disturbed. The truth is F1 by what the model
finds on the same frame undisturbed. Rows: a cause left out of what is learnt, a severity left out, both by the signatures'
own code; then faults by other code, each with its cause left out; at last those by what the agent tells: all causes are
learnt, and nothing is told where none of them explains the drift, or another share is found with it than is estimated.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.cameras.kinds.synthetic.drawing.disturbances import EFFECTS
from agent.config.schema import ModelSettings
from agent.core.types import Frame
from agent.detection.session import Detector
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.accuracy import AccuracyModel, Estimate, Trials
from agent.drift.diagnosis.cause import SEVERITIES
from agent.drift.diagnosis.diagnose import concluded
from agent.drift.diagnosis.learn import (
    MODEL_STEPS,
    STEPS,
    CauseStep,
    Learner,
    changed,
    found_by_cause,
    sample,
    small,
)
from agent.drift.diagnosis.match import match, shift_of
from agent.drift.diagnosis.portrait import PortraitComparison
from agent.drift.medians import medians
from agent.references.accuracy_estimator import agrees, estimated
from agent.references.model_signals import Seen, TrialBook, f1_of, turned_back
from agent.references.signature_learner import MOST_LEARNT_OF, found_share
from benchmarks.diagnosis import faults
from benchmarks.diagnosis.run import USUAL, spread, verdict

PARTS, KEPT, LEARNT, NOW = 8, 24, 8, 24
Pair = tuple[float, Estimate]


def frames_of(name: str) -> tuple[list[Any], list[Any]]:
    """The known frames of a video, and those of now; 15 or so of each part."""
    video, found = cv2.VideoCapture(name), []
    while (read := video.read())[0]:
        found.append(read[1])
    frames = [small(each) for each in found[:: max(1, len(found) // 120)]]
    parts = [frames[n * len(frames) // PARTS : (n + 1) * len(frames) // PARTS] for n in range(PARTS)]
    known, now = (list(chain.from_iterable(parts[first::2])) for first in (0, 1))
    return known, now


def with_most(frames: list[Any], pool: int, count: int, see: Callable[[Any], Seen]) -> list[Any]:
    """Of `pool` frames the `count` on which the model finds most: the others tell nothing of it."""
    chosen = spread(frames, pool)
    boxes = [-len(see(each).plain) for each in chosen]
    return [chosen[place] for place in sorted(np.argsort(boxes, kind="stable")[:count])]


def disturbed(now: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Frames of now with each fault, by its cause; a moved view has no truth."""
    severities = {1: (1, 3, 5), 2: (1, 3, 5), 3: (1, 4)}
    for cause, implementations in faults.known().items():
        for number, fault in enumerate(implementations if cause != "moved" else ()):
            for severity in severities[len(implementations)]:
                random = lambda: np.random.default_rng(7 * severity + number)  # noqa: B023, E731  (called at once)
                yield cause, [fault(each, severity, random()) for each in now]
    for factor in (38, 44, 50):
        yield "compression", faults.h264(now, factor)
    for effect, cause in faults.DEMO.items():
        for strength in (0.3, 0.6, 1.0) if cause != "moved" else ():
            yield cause, [EFFECTS[effect](each, strength) for each in now]


def left_out(trials: Trials, out: Any) -> AccuracyModel:
    """Fitted to the trials that are not `out`."""
    causes = tuple(cause for cause, gone in zip(trials.causes, out, strict=True) if not gone)
    return AccuracyModel(
        dataclasses.replace(trials, causes=causes, signals=trials.signals[~out], f1=trials.f1[~out])
    )


def own(trials: Trials, groups: Any) -> list[Pair]:
    """Each group of trials by what was fitted to the others."""
    found = []
    for group in sorted(set(groups) - {groups[0]}):  # the first rows are undisturbed
        model = left_out(trials, groups == group)
        for row in np.flatnonzero(groups == group):
            signals = trials.signals[row] + trials.base
            found.append((float(trials.f1[row]), model.estimate(signals, trials.base, trials.boxes)))
    return found


class Explained:
    """Names the cause as the agent does, of frames of a camera that is known by others."""

    def __init__(self, known: list[Any], shares: dict[CauseStep, float]) -> None:
        learner = Learner(spread(known, MOST_LEARNT_OF), "")
        for step in STEPS:
            learner.add(step)
        self._signatures = dataclasses.replace(learner.result(), found=found_by_cause(shares))
        self._compare = PortraitComparison(self._signatures.portrait)
        self._usual = np.percentile(sample(spread(known, USUAL)).vectors, (10, 50, 90), axis=0)

    def told(self, images: list[Any], estimate: Estimate) -> bool:
        """Whether the agent tells the estimate at these frames."""
        seen = sample(images)
        now = medians(seen.vectors)
        shift = shift_of(now, *self._usual, traits=self._compare(seen.portrait))
        found = match(shift, self._signatures.none, self._signatures.curves)
        cause = concluded(verdict(now, self._usual), self._signatures, found)
        return cause.cause in CAUSES and estimate.told and agrees(estimate, cause.found_ratio)


def row(name: str, what: str, pairs: list[Pair], mean: float) -> str:
    truth = np.array([each for each, _ in pairs])
    ratio, low, high, trust = np.array([(one.ratio, one.low, one.high, one.trust) for _, one in pairs]).T
    error = [
        float(np.sqrt(np.mean(np.square(truth - guess)))) for guess in (ratio, np.full(len(truth), mean))
    ]
    held = float(np.mean((low - 1e-9 <= truth) & (truth <= high + 1e-9)))
    return (
        f"| {name} | {what} | {len(pairs)} | {error[0]:.3f} | {error[1]:.3f} | {held:.0%} | {(high - low).mean():.2f} | "
        f"{trust.mean():.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("videos", nargs="+")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    detector = Detector(ModelSettings(path=args.model, provider="cpu"), cache=Path(args.model).parent)
    detector.open()

    def detect(image: Any) -> Any:
        frame = Frame(camera="", index=0, image=image, captured_at=0.0, monotonic_ns=0)
        return detector.detect([frame]).detections[0]

    def see(image: Any) -> Seen:
        mirrored = detect(np.ascontiguousarray(image[:, ::-1]))
        return Seen(plain=detect(image), mirrored=turned_back(mirrored, image.shape[1]))

    print("| video | what was not known | trials | RMSE | always the mean | band holds it | band | trust |")
    print("|---|---|---|---|---|---|---|---|")
    for video in args.videos:
        known, later = frames_of(video)
        kept = with_most(known, KEPT, LEARNT, see)
        learnt = [see(each) for each in kept]
        book, severities, shares = TrialBook(learnt), [], {}
        undisturbed = len(book.result().f1)
        for step in MODEL_STEPS:
            before = len(book.result().f1)
            found = [see(each) for each in changed(kept, step)]
            book.add(step.cause, found)
            shares[step] = found_share([each.plain for each in learnt], [each.plain for each in found])
            severities += [step.severity] * (len(book.result().f1) - before)
        trials, mean = book.result(), float(book.result().f1.mean())
        now = with_most(later, 36, NOW, see)
        calm, now = [see(each) for each in now[1::2]], now[0::2]
        clean = [see(each).plain for each in now]
        causes = np.array(trials.causes)
        models = {cause: left_out(trials, causes == cause) for cause in set(trials.causes[undisturbed:])}
        others, told, agent, explained = [], [], AccuracyModel(trials), Explained(known, shares)
        for cause, frames in disturbed(now):
            shape = now[0].shape[1::-1]
            images = [each if each.shape[1::-1] == shape else cv2.resize(each, shape) for each in frames]
            seen = [see(each) for each in images]
            truth = f1_of(clean, [each.plain for each in seen])
            others.append((truth, estimated(models[cause], seen, [calm])))
            estimate = estimated(agent, seen, [calm])
            told += [(truth, estimate)] if explained.told(images, estimate) else []
        name = f"{Path(video).stem} ({trials.boxes} boxes learnt on, {sum(map(len, clean))} asked on)"
        strengths = np.array([0.0] * undisturbed + severities)
        assert set(strengths) == {0.0, *SEVERITIES}
        print(row(name, "the cause", own(trials, causes), mean))
        print(row(name, "the severity", own(trials, strengths), mean))
        print(row(name, "cause and implementation", others, mean))
        print(row(name, f"implementation; told in {len(told)}", told, mean) if told else "", flush=True)


if __name__ == "__main__":
    main()
