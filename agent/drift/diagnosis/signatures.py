"""Signatures: what known causes do to the numbers of a camera, learnt from its own frames; stored as JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput, parse_kept, take_integer, take_list, take_object, take_text
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.accuracy import NO_FAULT, SIGNALS, Trials
from agent.drift.diagnosis.cause import SEVERITIES
from agent.drift.diagnosis.match import SIZE, Curves
from agent.drift.diagnosis.portrait import (
    ALONE,
    COLUMNS,
    HEIGHT,
    ROWS,
    TOGETHER,
    WIDTH,
    Portrait,
)

FORMAT = "vedette-signatures"
CODE_VERSION = 4
"""To be raised whenever a cause, a trait or a unit changes: older signatures are made anew."""

LARGEST_BYTES = 4 * 1024 * 1024
_MOST_TRIALS, _MOST_CLASSES = 1000, 10_000
_LARGEST_SIDE = 65_535
_CLASS = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signatures:
    """Of one camera: `none`, the shift of frames that nothing happened to, and `curves` by cause.

    `found` by cause is the share of the model's detections that it still finds with the first of its variants at each
    of SEVERITIES, (v, 3), NaN where there were none; empty until it is known. `trials` are what causes do to the
    model's signals, None until that is known. `portrait` is that of the frames compared with; `frames` names the
    frames that all of it was made of.
    """

    frames: str
    none: NDArray[np.float64]
    curves: Curves
    found: Mapping[str, NDArray[np.float64]]
    portrait: Portrait
    trials: Trials | None = None

    def found_at(self, cause: str, severity: float, variant: int) -> float | None:
        """The share of detections still found at a severity (between SEVERITIES: interpolated), if it is known.

        The model was not run with each variant: then it is the mean of those with which it was.
        """
        shares = self.found.get(cause)
        if shares is None or not np.isfinite(shares).all():
            return None
        curve = shares[variant] if variant < len(shares) else shares.mean(axis=0)
        return float(np.interp(severity, (0.0, *SEVERITIES), (1.0, *curve)))


def to_text(signatures: Signatures) -> str:
    """As JSON text, some 100 kB."""
    portrait = signatures.portrait
    body = {
        "format": FORMAT,
        "code": CODE_VERSION,
        "frames": signatures.frames,
        "none": numbers(signatures.none),
        "curves": {cause: [numbers(each) for each in curves] for cause, curves in signatures.curves.items()},
        "found": {cause: numbers(each) for cause, each in signatures.found.items()},
        "trials": None if signatures.trials is None else _trials_body(signatures.trials),
        "portrait": {
            "size": list(portrait.size),
            **{name: numbers(getattr(portrait, name)) for name in ("scalars", "detail", "view")},
        },
    }
    return json.dumps(body, separators=(",", ":"))


def from_text(text: str) -> Signatures:
    """What `to_text` wrote; ReferenceMismatch for anything else, and for what another version wrote."""
    try:
        body = parse_kept(text, largest=LARGEST_BYTES)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise ReferenceMismatch("not signatures")
        if take_integer(body, "code", minimum=0, maximum=2**31) != CODE_VERSION:
            raise ReferenceMismatch("signatures of another version")
        drawn = take_object(body, "portrait")
        return Signatures(
            frames=take_text(body, "frames", longest=80),
            none=array(body, "none", (SIZE,)),
            curves=_curves(take_object(body, "curves")),
            found=_found(take_object(body, "found")),
            trials=_trials(take_object(body, "trials")) if body.get("trials") is not None else None,
            portrait=Portrait(
                size=_size(drawn),
                scalars=array(drawn, "scalars", (len(ALONE) + len(TOGETHER),)),
                detail=array(drawn, "detail", (ROWS, COLUMNS)),
                view=array(drawn, "view", (HEIGHT, WIDTH), low=0.0, high=255.0).astype(np.float32),
            ),
        )
    except BadInput as error:
        raise ReferenceMismatch(f"the signatures are damaged: {error}") from None


def _trials_body(trials: Trials) -> dict[str, Any]:
    return {
        "model": trials.model,
        "causes": list(trials.causes),
        "signals": numbers(trials.signals),
        "f1": numbers(trials.f1),
        "base": numbers(trials.base),
        "frames": trials.frames,
        "classes": {str(kind): number for kind, number in trials.classes.items()},
    }


def _trials(body: Mapping[str, Any]) -> Trials:
    causes = tuple(take_list(body, "causes", longest=_MOST_TRIALS))
    if not all(isinstance(cause, str) and (cause == NO_FAULT or cause in CAUSES) for cause in causes):
        raise BadInput("`causes` names one that there is not")
    return Trials(
        model=take_text(body, "model", longest=64),
        causes=causes,
        signals=array(body, "signals", (len(causes), len(SIGNALS))),
        f1=array(body, "f1", (len(causes),), low=0.0, high=1.0),
        base=array(body, "base", (len(SIGNALS),)),
        frames=take_integer(body, "frames", minimum=1, maximum=1000),
        classes=_classes(take_object(body, "classes")),
    )


def _size(body: Mapping[str, Any]) -> tuple[int, int]:
    sides = take_list(body, "size", longest=2)
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in sides):
        raise BadInput("`size` is no width and height in pixels")
    return sides[0], sides[1]


def _classes(body: Mapping[str, Any]) -> dict[int, int]:
    if len(body) > _MOST_CLASSES or not all(_CLASS.fullmatch(key) for key in body):
        raise BadInput("`classes` names what is not a class")
    return {int(key): take_integer(body, key, minimum=1, maximum=10**6) for key in body}


def _found(body: Mapping[str, Any]) -> Mapping[str, NDArray[np.float64]]:
    return {
        name: array(body, name, (cause.model_variants, len(SEVERITIES)), low=0.0, high=1.0, unknown=True)
        for name, cause in CAUSES.items()
        if body
    }


def _curves(body: Mapping[str, Any]) -> Curves:
    found: dict[str, Sequence[NDArray[np.float64]]] = {}
    for name, cause in CAUSES.items():
        texts = take_list(body, name, longest=cause.variants)
        if len(texts) != cause.variants:
            raise BadInput(f"`{name}` has {len(texts)} variants; expected {cause.variants}")
        found[name] = [array({name: text}, name, (len(SEVERITIES), SIZE)) for text in texts]
    return found
