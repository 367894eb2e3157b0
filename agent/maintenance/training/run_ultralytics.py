"""Trains by Ultralytics. Run by the interpreter that has it, from this file; the agent never imports it.

The arguments are the checkpoint and NAME=VALUE of each option (`Plan.words`); without options it is only opened. Lines
of standard output that begin with MARK are JSON events: `opened`; `cost` after the first batches, upon which a line
"go" is awaited on standard input; `epoch`; `done`.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from typing import Any

MARK = "VEDETTE "
NO_ULTRALYTICS = 3
_MEASURED = 3
"""Batches that the cost is measured by, after one that warms up."""


class TrainingProgress:
    """What Ultralytics calls while it trains."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._asked = epochs, False
        self._times: list[float] = []

    def begin(self, _trainer: Any) -> None:
        """Before the first batch."""
        self._times.append(_now())

    def batch(self, trainer: Any) -> None:
        """After each batch; once enough are measured, the cost."""
        if self._asked:
            return
        self._times.append(_now())
        if len(self._times) - 1 == min(_MEASURED + 1, len(trainer.train_loader)):
            self._asked = True
            self._ask(trainer)

    def _ask(self, trainer: Any) -> None:
        spent = [b - a for a, b in zip(self._times, self._times[1:], strict=False)]
        image = statistics.median(spent[1:] or spent) / trainer.batch_size
        images, checked = len(trainer.train_loader.dataset), len(trainer.test_loader.dataset)
        emit(
            "cost",
            image_seconds=image,
            images=images,
            epochs=self._epochs,
            # an image of the validation goes through the model forwards alone: about a third
            seconds=self._epochs * (image * images + image / 3 * checked),
            memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        )
        if sys.stdin.readline().strip() != "go":
            sys.exit(0)

    def epoch(self, trainer: Any) -> None:
        """After each epoch and its validation."""
        value = float(trainer.metrics.get("metrics/mAP50-95(B)", 0.0))
        emit("epoch", epoch=trainer.epoch + 1, epochs=self._epochs, map50_95=value)


def _now() -> float:
    return time.perf_counter()  # noqa: TID251  (the agent's clock is not importable here)


def emit(event: str, **fields: object) -> None:
    """Write an event."""
    sys.stdout.write(f"\n{MARK}{json.dumps({'event': event, **fields})}\n")
    sys.stdout.flush()


def value_of(text: str) -> bool | int | float | str:
    """An option's value.

    >>> value_of("True"), value_of("3"), value_of("0.1"), value_of("cpu")
    (True, 3, 0.1, 'cpu')
    """
    if text in ("True", "False"):
        return text == "True"
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text


def main() -> None:
    """Train."""
    checkpoint, *words = sys.argv[1:]
    options = {name: value_of(text) for name, text in (word.split("=", 1) for word in words)}
    try:
        import ultralytics
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NO_ULTRALYTICS)
    model = ultralytics.YOLO(checkpoint)
    if not options:
        names = [str(model.names[number]) for number in sorted(model.names)]
        emit("opened", task=model.task, fused=bool(model.model.is_fused()), names=names)
        return
    progress = TrainingProgress(int(options["epochs"]))
    model.add_callback("on_train_start", progress.begin)
    model.add_callback("on_train_batch_end", progress.batch)
    model.add_callback("on_fit_epoch_end", progress.epoch)
    model.train(**options)
    emit("done", best=str(model.trainer.best), ultralytics=ultralytics.__version__)


if __name__ == "__main__":
    main()
