"""Trains a model by Ultralytics in a process of its own, and names the cost before it goes on.

Checkpoints are pickles, which run code when they are opened: only that process opens them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from agent.core.child_environment import child_environment
from agent.core.errors import MissingExtra, ModelError
from agent.core.installation import how_to_add
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_integer, take_list, take_number, take_text
from agent.maintenance.training.run_ultralytics import MARK, NO_ULTRALYTICS

SCRIPT = Path(__file__).with_name("run_ultralytics.py")
LOG = "train.log"

INCREMENTAL: dict[str, object] = {
    "optimizer": "AdamW",
    "lr0": 0.0005,
    "lrf": 0.1,
    "warmup_epochs": 0.0,
    "close_mosaic": 0,
}
"""From weights that are good already: small steps, no warm-up that would undo them.

Ultralytics' own optimizer and learning rate, chosen by `optimizer="auto"`, are for a training from the start.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to train: `checkpoint` on `data`, in the folder `work`, by `python`; `device` "cpu" or a GPU's number.

    `full`: with Ultralytics' own learning rates, as from the beginning; else in small steps from the weights.
    """

    checkpoint: Path
    data: Path
    work: Path
    python: str
    epochs: int
    image_size: int
    batch: int
    seed: int
    device: str
    full: bool

    def words(self) -> list[str]:
        """The options as the script takes them."""
        on_cpu = self.device == "cpu"
        options: dict[str, object] = {
            "data": self.data,
            "epochs": self.epochs,
            "imgsz": self.image_size,
            "batch": self.batch,
            "seed": self.seed,
            "deterministic": True,
            "device": self.device,
            "workers": 0 if on_cpu else 4,
            "amp": not on_cpu,
            "plots": False,
            "project": self.work,
            "name": "run",
            "exist_ok": True,
        }
        return [
            f"{name}={value}" for name, value in (options if self.full else options | INCREMENTAL).items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a training takes, by its first batches: seconds in all and of an image in an epoch, and memory (bytes)."""

    seconds: float
    image_seconds: float
    images: int
    epochs: int
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch that ended, of `epochs`, and the mAP50-95 of its validation."""

    number: int
    epochs: int
    map50_95: float


def class_names(checkpoint: Path, work: Path, python: str) -> tuple[str, ...]:
    """The classes of a checkpoint, by number; raises ModelError, MissingExtra."""
    with _running(checkpoint, work, python, []) as (process, events):
        opened = next(events, {})
        if opened.get("event") != "opened":
            raise _failure(checkpoint, work, python, process)
        if opened.get("task") != "detect":
            raise ModelError(
                f"{checkpoint} is not a detector: its task is {printable(opened.get('task'), 40)}"
            )
        if opened.get("fused"):
            raise ModelError(
                f"{checkpoint} is fused for inference: a training would begin with hardly any of its weights; name the "
                "checkpoint that its own training wrote (weights/best.pt)"
            )
        return tuple(str(name) for name in take_list(opened, "names"))


def train(
    plan: Plan,
    agree: Callable[[Cost], bool],
    progress: Callable[[Iterator[Epoch]], None],
) -> Path | None:
    """The checkpoint of the best epoch; None where `agree`, asked once the cost is known, does not.

    `progress` is given the epochs as they end. Raises ModelError, MissingExtra.
    """
    with _running(plan.checkpoint, plan.work, plan.python, plan.words()) as (process, events):
        first = next(events, {})
        if first.get("event") != "cost":
            raise _failure(plan.checkpoint, plan.work, plan.python, process)
        if not agree(_cost(first)):
            return None
        _go(process)
        found: list[Path] = []
        progress(_epochs(events, found))
        if not found or process.wait():
            raise _failure(plan.checkpoint, plan.work, plan.python, process)
        return found[0]


@contextmanager
def _running(
    checkpoint: Path, work: Path, python: str, words: list[str]
) -> Iterator[tuple[subprocess.Popen[str], Iterator[dict[str, Any]]]]:
    """The script at work, and its events; it is ended at the end."""
    with (work / LOG).open("w", encoding="utf-8") as log:
        process = _started(checkpoint, work, python, words, log)
        try:
            yield process, _events(process, log)
        except BadInput as error:
            raise ModelError(f"ultralytics gave no figures: {error}") from None
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _started(
    checkpoint: Path, work: Path, python: str, words: list[str], log: TextIO
) -> subprocess.Popen[str]:
    # it must not install packages, look for newer versions, or read and write the user's settings
    own = {
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_CONFIG_DIR": str(work),
        "WANDB_MODE": "disabled",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait take the cores of whatever else runs here
    }
    copy = work / checkpoint.name  # ultralytics writes beside its source
    try:
        shutil.copyfile(checkpoint, copy)
    except OSError as error:
        raise ModelError(f"{checkpoint} cannot be copied to {work}: {error.strerror or error}") from error
    try:
        return subprocess.Popen(
            [python, "-I", str(SCRIPT), str(copy), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            env={**child_environment(), **own},
            cwd=work,
        )
    except OSError as error:
        raise ModelError(f"--python {python}: {error.strerror}") from error


def _events(process: subprocess.Popen[str], log: TextIO) -> Iterator[dict[str, Any]]:
    """What the script says of itself; all else it writes goes to the log."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(MARK):
            yield parse_object(line.removeprefix(MARK))
        else:
            log.write(line)
            log.flush()


def _cost(body: dict[str, Any]) -> Cost:
    return Cost(
        seconds=take_number(body, "seconds"),
        image_seconds=take_number(body, "image_seconds"),
        images=take_integer(body, "images"),
        epochs=take_integer(body, "epochs"),
        memory_bytes=take_number(body, "memory_bytes"),
    )


def _epochs(events: Iterator[dict[str, Any]], found: list[Path]) -> Iterator[Epoch]:
    """The epochs; the best checkpoint is put into `found`."""
    for body in events:
        if body.get("event") == "epoch":
            numbers = {"number": take_integer(body, "epoch"), "epochs": take_integer(body, "epochs")}
            yield Epoch(**numbers, map50_95=take_number(body, "map50_95"))
        elif body.get("event") == "done":
            found.append(Path(take_text(body, "best")))


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write("go\n")
        process.stdin.flush()


def _failure(
    checkpoint: Path, work: Path, python: str, process: subprocess.Popen[str]
) -> ModelError | MissingExtra:
    code, file = process.wait(), work / LOG
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
    reason = printable(lines[-1], 300)
    if code == NO_ULTRALYTICS:
        return MissingExtra(
            f"training needs ultralytics ({reason} in {python}): {how_to_add('export')}, or name a Python that has it "
            "with --python"
        )
    return ModelError(f"ultralytics could not train {checkpoint.name}: {reason} (all of it: {file})")
