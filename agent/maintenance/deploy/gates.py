"""What a new model must pass: numbers measured on both models, against those of the config. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.alerts.words import quantity
from agent.config.deploy_settings import DeploySettings
from agent.core.counts import count
from agent.core.errors import ModelError
from agent.detection import ModelInfo
from agent.detection.scheduler import ServedCounts
from agent.maintenance.evaluation.bootstrap import Interval
from agent.maintenance.evaluation.comparison import NeverFound, statement

FAILING_SHARE = 0.02
"""Of all frames: so much more than before the switch may fail."""

LEAST_LOST = 5
"""Boxes of a class that the running model finds where the new one finds none: on the same images all in one's favour by
chance in 1 of 32 cases (sign test)."""

MOST_NAMED = 8
"""Classes that a sentence names."""

LEAST_FAILED = 3
"""Frames that a model must fail on before it counts."""


def check_loaded(new: ModelInfo, running: ModelInfo, settings: DeploySettings) -> None:
    """Raise ModelError where the new model lacks the embedding that the running one has."""
    if settings.keep_embedding and running.embedding_size and not new.embedding_size:
        raise ModelError(
            "the new model gives no embedding, and drift is judged by that of the running one: make it with "
            "`vedette model prepare`, or set [deploy] keep_embedding = false"
        )


def check_memory(taken: float, settings: DeploySettings) -> None:
    """Raise ModelError where loading the new model took too much memory (bytes)."""
    if taken > settings.most_memory:
        raise ModelError(
            f"the new model takes {quantity(taken, 'bytes')}; [deploy] most_memory permits "
            f"{quantity(settings.most_memory, 'bytes')}"
        )


def shown_better(numbers: Mapping[str, float]) -> bool:
    """Whether the new model is better on labelled images, in 95 of 100 draws of them."""
    return numbers.get("map50_95_difference_low", 0.0) > 0


def check_numbers(numbers: Mapping[str, float], settings: DeploySettings, *, better: bool) -> None:
    """Raise ModelError, naming all of them, for what was measured and lies beyond the config's limits.

    A number that is absent could not be measured, and does not count; nor does the agreement of a model that is
    `better` on labelled images: it need not agree with a worse one.
    """
    wrong = [
        _accuracy(numbers, settings),
        "" if better else _agreement(numbers, settings),
        _latency(numbers, settings),
    ]
    if any(wrong):
        raise ModelError("; ".join(filter(None, wrong)))


def _accuracy(numbers: Mapping[str, float], settings: DeploySettings) -> str:
    high = numbers.get("map50_95_difference_high")
    if high is None or high >= -settings.most_accuracy_loss:
        return ""
    new, running = numbers["map50_95"], numbers["running_map50_95"]
    sure = Interval(low=numbers["map50_95_difference_low"], high=high)
    return (
        f"on {numbers['labelled_images']:.0f} labelled images its mAP50-95 is {new:.3f}, the running model's "
        f"{running:.3f}; {statement('it', 'the running model', new - running, sure)}; [deploy] most_accuracy_loss "
        f"permits {settings.most_accuracy_loss:g}"
    )


def _agreement(numbers: Mapping[str, float], settings: DeploySettings) -> str:
    agreement = numbers.get("agreement_ratio")
    if agreement is None or agreement >= settings.least_agreement:
        return ""
    return (
        f"it agrees with the running model in {agreement:.0%} of the boxes, [deploy] least_agreement asks for "
        f"{settings.least_agreement:.0%}"
    )


def _latency(numbers: Mapping[str, float], settings: DeploySettings) -> str:
    latency = numbers.get("latency_ratio")
    if latency is None or latency <= settings.most_latency_ratio:
        return ""
    return (
        f"it takes {latency:.2f} times as long for a frame, [deploy] most_latency_ratio permits "
        f"{settings.most_latency_ratio:g}"
    )


def check_classes(unfound: Sequence[NeverFound], settings: DeploySettings) -> str:
    """What a person should know of the classes that the new model never finds; raises ModelError where one is lost."""
    if not settings.least_class_labels:
        return ""
    counted = [each for each in unfound if each.labels >= settings.least_class_labels]
    lost = [each for each in counted if each.second >= LEAST_LOST]
    if lost:
        named = _listed(
            [f"{each.labels} of {each.name} (the running one finds {each.second})" for each in lost], " and "
        )
        raise ModelError(
            f"at the agent's confidence it finds none of {named}; train it with images of that (--old), or longer; "
            "[deploy] least_class_labels = 0 lets it pass"
        )
    if not counted:
        return ""
    named = _listed([f"{each.name} ({each.labels} labelled boxes)" for each in counted], ", ")
    return (
        f"at the agent's confidence it finds none of {named}, nor does the model before: it passes, but what it was "
        "trained for may be missing; train longer (--epochs), with more boxes of it, or lower the cameras' confidence"
    )


def _listed(parts: Sequence[str], between: str) -> str:
    """The first MOST_NAMED of them, and how many there are beside."""
    more = len(parts) - MOST_NAMED
    return between.join(
        [*parts[:MOST_NAMED], *([count(more, "other class", "other classes")] if more > 0 else [])]
    )


def check_failures(failed: int, served: int, share_before: float) -> None:
    """Raise ModelError where more frames fail since the switch than before it."""
    share = failed / max(1, failed + served)
    if failed >= LEAST_FAILED and share > share_before + FAILING_SHARE:
        raise ModelError(
            f"it failed on {failed} frames ({share:.0%}); before the switch {share_before:.0%} failed"
        )


def share_failing(before: ServedCounts, after: ServedCounts) -> float:
    """The share of frames that failed between two counts."""
    failed, served = after.failed - before.failed, after.served - before.served
    return round(failed / max(1, failed + served), 4)
