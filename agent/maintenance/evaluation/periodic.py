"""Evaluates the running model on the labelled audit samples: every so often, for new labels and for a new model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.errors import ModelError
from agent.core.state_dir import write_atomic
from agent.core.types import Draft
from agent.core.untrusted import BadInput, parse_object, take_integer, take_list, take_number, take_text
from agent.core.worker import Worker
from agent.delivery.messages import accuracy_draft
from agent.detection import ModelInfo
from agent.maintenance.evaluation.beside import accuracy_beside, row_of
from agent.maintenance.evaluation.prediction_powered import Population
from agent.maintenance.evaluation.process import EvaluationRequest
from agent.maintenance.samples.in_use import CameraAccuracy
from agent.maintenance.samples.labelled_set import labelled_audit
from agent.maintenance.samples.store import SampleStore

log = structlog.get_logger("vedette.evaluation")

FILE_NAME = "accuracy.json"
MOST_SAMPLES = 1000
RETRY_SECONDS = 3600.0
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What was found of `model` (its SHA-256) at `at` (steady time), with the labels of `labelled` (a file's time).

    `rows` has all cameras together first.
    """

    model: str
    name: str
    at: float
    labelled: int
    rows: tuple[CameraAccuracy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """What an evaluation needs of the agent: the running model, how it is opened, its golden check's state, and what is
    estimated of it without labels, by camera."""

    info: Callable[[], ModelInfo]
    settings: Callable[[], ModelSettings]
    golden: Callable[[], str]
    estimates: Callable[[str], Mapping[str, Population]] = lambda _model: {}


class _StoppingError(Exception):
    """The agent stops."""


class PeriodicEvaluator(Worker):
    """Evaluates every `every` seconds (0: never), and hands the figures to `publish`."""

    def __init__(
        self, every: float, state_directory: Path, running: EvaluatedModel, publish: Callable[[Draft], None]
    ) -> None:
        super().__init__("evaluate")
        self._every, self._state, self._running, self._publish = every, state_directory, running, publish
        self._store = SampleStore(state_directory)
        self._stop = threading.Event()
        self._last: Evaluated | None = None
        self._seen, self._tried_at = 0, float("-inf")

    @property
    def enabled(self) -> bool:
        """Whether anything is evaluated at all."""
        return self._every > 0

    def report(self) -> dict[str, Any]:
        """The last figures as JSON values, {} where there are none; any thread may ask."""
        last = self._last
        if last is None:
            return {}
        return {
            "model_name": last.name,
            "model_sha256": last.model,
            "evaluated_at": round(clock.unix(last.at), 3),
            "rows": [asdict(row) for row in last.rows],
        }

    def handlers(self) -> dict[str, Handler]:
        """The command `accuracy`."""
        return {"accuracy": self._answer}

    def _answer(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        return self.report()

    # -- in its own thread ------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Evaluate until `stop` is set."""
        self._stop = stop
        self._last = self._read()
        if self._last is not None and self._last.model == self._running.info().sha256:
            self._tell(self._last)
        while not stop.wait(_POLL_SECONDS):
            self.beat()
            self.attempt("evaluate the model", lambda: self.step(clock.now()))

    def step(self, now: float) -> None:
        """Do what is due at `now` (steady time)."""
        labelled = self._store.labelled_at()
        lasting, self._seen = labelled == self._seen, labelled  # an import takes a while
        if not lasting or not self._due(labelled, now):
            return
        self._tried_at = now
        try:
            self._evaluate(labelled)
        except _StoppingError:
            pass
        except (ModelError, OSError) as error:
            log.warning("the model cannot be evaluated, trying again in an hour", reason=str(error))

    def _due(self, labelled: int, now: float) -> bool:
        last = self._last
        failed = last is None or last.at < self._tried_at
        if not labelled or (failed and now - self._tried_at < RETRY_SECONDS):
            return False
        known = last is not None and (last.model, last.labelled) == (self._running.info().sha256, labelled)
        return last is None or not known or now - last.at >= self._every

    def _evaluate(self, labelled: int) -> None:
        if not labelled_audit(self._store, most=1):
            return
        info = self._running.info()
        request = EvaluationRequest(
            first=replace(self._running.settings(), provider="cpu"),
            second=None,
            state=str(self._state),
            most=MOST_SAMPLES,
            estimates={camera: asdict(each) for camera, each in self._running.estimates(info.sha256).items()},
        )
        rows = tuple(accuracy_beside(request, self._pause))
        done = Evaluated(model=info.sha256, name=info.name, at=clock.now(), labelled=labelled, rows=rows)
        self._last = done
        write_atomic(self._state / FILE_NAME, json.dumps(asdict(done)).encode())
        self._tell(done)
        log.info("the model was evaluated on labelled samples", model=done.name, **_figures(rows))

    def _tell(self, done: Evaluated) -> None:
        about = {
            "model_name": done.name,
            "model_sha256": done.model,
            "model_golden": self._running.golden(),
            "evaluated_at": clock.unix(done.at),
        }
        for row in done.rows:
            self._publish(accuracy_draft(row.camera, {**about, **payload_of(row)}))

    def _pause(self, seconds: float) -> None:
        self.beat()
        if self._stop.wait(seconds):
            raise _StoppingError

    def _read(self) -> Evaluated | None:
        try:
            body = parse_object((self._state / FILE_NAME).read_bytes())
            return Evaluated(
                model=take_text(body, "model", longest=64),
                name=take_text(body, "name"),
                at=take_number(body, "at"),
                labelled=take_integer(body, "labelled"),
                rows=tuple(row_of(row) for row in take_list(body, "rows")),
            )
        except FileNotFoundError:
            return None
        except (OSError, BadInput) as error:
            log.warning("the last evaluation cannot be read, evaluating again", reason=str(error))
            return None


def payload_of(row: CameraAccuracy) -> dict[str, float | None]:
    """The figures as they are published."""
    ratios = {
        f"{name}_ratio": getattr(row, name)
        for kind in ("precision", "recall", "f1")
        for name in (kind, f"{kind}_low", f"{kind}_high")
    }
    return {
        "frames_labelled": row.frames,
        "boxes_labelled": row.labels,
        **ratios,
        "frames_corrected": row.corrected_frames,
        "frame_f1_corrected_ratio": row.corrected,
        "frame_f1_corrected_low_ratio": row.corrected_low,
        "frame_f1_corrected_high_ratio": row.corrected_high,
    }


def _figures(rows: tuple[CameraAccuracy, ...]) -> dict[str, float | None]:
    names = ("frames", "labels", "precision", "recall", "f1", "f1_low", "f1_high")
    return {name: getattr(rows[0], name) for name in names}
