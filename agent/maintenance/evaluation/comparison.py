"""Two models on the same labelled images: which is better, and whether that is more than chance. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.maintenance.evaluation.bootstrap import FEWEST_IMAGES, Interval, draw, interval
from agent.maintenance.evaluation.scores import Outcome, score

DRAWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """mAP50-95 of two models on `images` images; `difference` is where that of the first less the second lies.

    None with too few images to say.
    """

    images: int
    first: float
    second: float
    difference: Interval | None

    @property
    def better(self) -> bool:
        """Whether the first model is better in 95 of 100 draws."""
        return self.difference is not None and self.difference.low > 0


def compare(first: Outcome, second: Outcome, images: int) -> Comparison:
    """The comparison of what two models found on the same images."""
    means = [score(outcome).mean()["map50_95"] for outcome in (first, second)]
    difference = None
    if images >= FEWEST_IMAGES:
        ours, theirs = draw([first, second], images, draws=DRAWS)
        difference = interval(ours.map50_95 - theirs.map50_95)
    return Comparison(images=images, first=means[0], second=means[1], difference=difference)


def statement(first: str, second: str, value: float, sure: Interval) -> str:
    """Whether the first model is better than the second, in a sentence; `value` is the difference of mAP50-95."""
    between = f"mAP50-95 {value:+.3f}, 95 % interval {sure.low:+.3f} to {sure.high:+.3f}"
    if sure.low > 0:
        return f"{first} is better than {second}: {between}"
    if sure.high < 0:
        return f"{first} is worse than {second}: {between}"
    return f"no difference between {first} and {second} can be shown on these images: {between}"
