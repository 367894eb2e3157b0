"""The process that evaluates models on labelled images, while nothing else wants the CPU (`beside` starts it).

Its argument is by how much it is nicer than the agent. Standard input brings one line of JSON; its end is the request
to end. Standard output gets one line of JSON: the answer, or `error`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.config.schema import ModelSettings
from agent.core import memory as heap
from agent.core.dataset import class_names
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.core.untrusted import parse_object
from agent.detection.choice_process import settings_of
from agent.detection.session import Detector
from agent.maintenance.child import serve
from agent.maintenance.evaluation.comparison import AccuracyComparison, compare
from agent.maintenance.evaluation.evaluate import evaluate
from agent.maintenance.evaluation.labels import LabelledSet, read_set
from agent.maintenance.evaluation.prediction_powered import Population
from agent.maintenance.samples.in_use import accuracy_of
from agent.maintenance.samples.labelled_set import labelled_audit, set_of
from agent.maintenance.samples.store import SampleStore


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """Evaluate `first` beside `second` on the images of `data`, "" for the audit samples below `state`.

    Without `second`: how right `first` is on those samples, as the agent runs it; `estimates` are the fields of each
    camera's Population.
    """

    first: ModelSettings
    second: ModelSettings | None
    data: str = ""
    split: str = ""
    state: str
    most: int
    estimates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def line(self) -> bytes:
        """As it goes over the pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> EvaluationRequest:
        """From what came over the pipe."""
        body = parse_object(line)
        second = settings_of(body["second"]) if body["second"] else None
        return cls(**{**body, "first": settings_of(body["first"]), "second": second})


def answer(request: EvaluationRequest) -> dict[str, Any]:
    """The comparison, of no image where no object is labelled, or the accuracy, as JSON; raises VedetteError."""
    if request.second is None:
        store = SampleStore(Path(request.state))
        kept = labelled_audit(store, most=request.most)
        estimates = {camera: Population(**each) for camera, each in request.estimates.items()}
        rows = accuracy_of(request.first, kept, store.classes(), estimates)
        return {"rows": [asdict(row) for row in rows]}
    data = _data(request, request.second)
    if not data.boxes:  # whatever a model finds there, its mAP is undefined
        return asdict(AccuracyComparison(images=0, first=0.0, second=0.0, difference=None))
    first, second = (evaluate(model, data) for model in (request.first, request.second))
    compared = compare(
        first.outcome,
        second.outcome,
        len(first.groups),
        names=data.names,
        confidence=request.first.confidence,
    )
    return asdict(compared)


def _data(request: EvaluationRequest, model: ModelSettings) -> LabelledSet:
    if request.data:
        source = Path(request.data)
        return read_set(source, request.split, class_names(source) or _classes(model), most=request.most)
    store = SampleStore(Path(request.state))
    return set_of(labelled_audit(store, most=request.most), store)


def _classes(model: ModelSettings) -> tuple[str, ...]:
    detector = Detector(model)
    detector.open()
    detector.close()
    return detector.info.classes


def _answer(line: bytes) -> dict[str, Any]:
    """What `answer` gives, or why it cannot be given."""
    request = EvaluationRequest.parse(line)
    try:
        with heap.bounded():
            return answer(request)
    except (VedetteError, MemoryError, OSError) as error:
        return {"error": printable(error, 400) or type(error).__name__}


if __name__ == "__main__":
    serve(_answer, int(sys.argv[1]))
