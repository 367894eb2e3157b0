"""Two models on the same labelled images: which is better, and whether that is more than chance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.maintenance.evaluation.bootstrap import FEWEST_IMAGES, Interval, draw, interval
from agent.maintenance.evaluation.scores import Outcome, found_of, never_found, score

DRAWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverFound:
    """A class of so many `labels`, of which the first model finds none at the agent's confidence; the second finds
    `second`."""

    name: str
    labels: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyComparison:
    """mAP50-95 of two models on `images` images; `difference` is where that of the first less the second lies.

    None with too few images to say. `never_found` are the classes of which the first finds none.
    """

    images: int
    first: float
    second: float
    difference: Interval | None
    never_found: tuple[NeverFound, ...] = ()

    @property
    def better(self) -> bool:
        """Whether the first model is better in 95 of 100 draws."""
        return self.difference is not None and self.difference.low > 0


def compare(
    first: Outcome, second: Outcome, images: int, *, names: Sequence[str], confidence: float
) -> AccuracyComparison:
    """The comparison of what two models found on the same images, of classes `names`.

    Boxes of at least `confidence` are what the agent reports.
    """
    means = [score(outcome).mean()["map50_95"] for outcome in (first, second)]
    difference = None
    if images >= FEWEST_IMAGES:
        ours, theirs = draw([first, second], images, draws=DRAWS)
        difference = interval(ours.map50_95 - theirs.map50_95)
    unfound = [
        NeverFound(
            name=names[number],
            labels=int((first.label_classes == number).sum()),
            second=found_of(second, number, confidence),
        )
        for number in never_found(first, confidence)
    ]
    return AccuracyComparison(
        images=images,
        first=means[0],
        second=means[1],
        difference=difference,
        never_found=tuple(unfound),
    )


def statement(first: str, second: str, value: float, sure: Interval) -> str:
    """Whether the first model is better than the second, in a sentence; `value` is the difference of mAP50-95."""
    between = f"mAP50-95 {value:+.3f}, 95 % interval {sure.low:+.3f} to {sure.high:+.3f}"
    if sure.low > 0:
        return f"{first} is better than {second}: {between}"
    if sure.high < 0:
        return f"{first} is worse than {second}: {between}"
    return f"no difference between {first} and {second} can be shown on these images: {between}"
