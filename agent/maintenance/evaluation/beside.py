"""Evaluates in a process beside the agent: it takes what CPU is left over, and its memory ends with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.cameras.isolation.child import ended_by
from agent.core.child_environment import own_python
from agent.core.errors import ModelError
from agent.core.untrusted import (
    BadInput,
    parse_object,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.maintenance.child import Pause, ask
from agent.maintenance.evaluation.bootstrap import Interval
from agent.maintenance.evaluation.comparison import AccuracyComparison, NeverFound
from agent.maintenance.evaluation.process import EvaluationRequest
from agent.maintenance.samples.in_use import CameraAccuracy

LONGEST_SECONDS = 6 * 3600.0
"""A busy box has little CPU left over."""

NICE = 19
"""The lowest priority; it still has a hundredth of a core that others want whole."""


def compare_beside(request: EvaluationRequest, pause: Pause) -> AccuracyComparison:
    """The comparison that is asked for; `pause` waits, and raises what ends it. Raises ModelError."""
    body = _asked(request, pause)
    try:
        sure = take_object(body, "difference", None)
        return AccuracyComparison(
            images=take_integer(body, "images", minimum=0),
            first=take_number(body, "first"),
            second=take_number(body, "second"),
            difference=None
            if sure is None
            else Interval(low=take_number(sure, "low"), high=take_number(sure, "high")),
            never_found=tuple(_never_found(each) for each in take_list(body, "never_found")),
        )
    except BadInput as error:
        raise _unreadable(error) from None


def accuracy_beside(request: EvaluationRequest, pause: Pause) -> list[CameraAccuracy]:
    """How right the model is that is asked about, of all cameras first; raises ModelError."""
    body = _asked(request, pause)
    try:
        return [row_of(row) for row in take_list(body, "rows")]
    except BadInput as error:
        raise _unreadable(error) from None


def row_of(row: Any) -> CameraAccuracy:
    """The figures that were written as JSON; BadInput for anything else."""
    if not isinstance(row, dict):
        raise BadInput("a camera's figures are not an object")
    counts = {name: take_integer(row, name, minimum=0) for name in ("frames", "labels")}
    counts["corrected_frames"] = take_integer(row, "corrected_frames", 0, minimum=0)
    figures = {
        name: None if row.get(name) is None else take_number(row, name, minimum=0.0, maximum=1.0)
        for kind in ("precision", "recall", "f1", "corrected")
        for name in (kind, f"{kind}_low", f"{kind}_high")
    }
    return CameraAccuracy(camera=take_text(row, "camera", longest=200), **counts, **figures)  # type: ignore[arg-type]  # mypy merges the two


def _never_found(entry: Any) -> NeverFound:
    if not isinstance(entry, dict):
        raise BadInput("a class that is never found is not an object")
    counts = {name: take_integer(entry, name, minimum=0) for name in ("labels", "second")}
    return NeverFound(name=take_text(entry, "name", longest=200), **counts)


def _asked(request: EvaluationRequest, pause: Pause) -> Mapping[str, Any]:
    """What the process answers."""
    command = own_python("agent.maintenance.evaluation.process", str(NICE))
    try:
        code, line = ask(command, request.line(), pause, LONGEST_SECONDS)
    except TimeoutError:
        raise ModelError(
            f"the evaluation on labelled images takes longer than {LONGEST_SECONDS:.0f} s"
        ) from None
    return _answer(line, code)


def _answer(line: bytes, code: int) -> Mapping[str, Any]:
    """What a process gave that ended with `code`."""
    if code:
        how = ended_by(-code) if code < 0 else f"ended with code {code}"
        raise ModelError(f"the evaluation on labelled images {how}; see `vedette model evaluate`")
    try:
        body = parse_object(line)
        if "error" in body:
            raise ModelError(f"the evaluation on labelled images failed: {take_text(body, 'error')}")
    except BadInput as error:
        raise _unreadable(error) from None
    return body


def _unreadable(error: BadInput) -> ModelError:
    return ModelError(f"the evaluation on labelled images gave no answer: {error}")
