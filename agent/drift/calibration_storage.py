"""Calibrations as JSON values, and back: every value is held to what one can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import HUGE, TINY, array, numbers
from agent.core.untrusted import BadInput, take_integer, take_integers, take_list, take_number, take_object
from agent.drift.calibrate import Calibration, factors_of
from agent.drift.class_mix import MOST_CLASSES, ClassMix
from agent.drift.contexts import HOURS
from agent.drift.evidence import ASPECTS
from agent.drift.excursions import MOST_KEPT, Excursions, no_excursions
from agent.drift.memory import AGES, SCALES
from agent.drift.noise import DECAYS
from agent.drift.pairs import CLEAREST, Pairs
from agent.drift.pairs import SCALES as PAIR_SCALES
from agent.drift.refine import UNBOUNDED, Refinement, nothing_learnt
from agent.drift.sketch import MOST_FEATURES
from agent.drift.statistics import IN_VERDICT, STATISTICS
from agent.drift.tail import Tail

_MOST_WINDOWS = 10**9


def calibration_body(calibration: Calibration) -> dict[str, Any]:
    """A calibration as JSON values."""
    return {
        **{name: numbers(getattr(calibration, name)) for name in _SHAPES if name != "distances"},
        **{name: numbers(getattr(calibration.refinement, name)) for name in _REFINEMENT_SHAPES},
        "bound": calibration.refinement.bound,
        "factors": calibration.refinement.factors,
        **_distances_body(calibration),
        "tails": {name: [tail.stretch for tail in tails] for name, tails in calibration.tails.items()},
        **({"mix": _mix_body(calibration.mix)} if calibration.mix else {}),
        **({"pairs": _pairs_body(calibration.pairs)} if calibration.pairs else {}),
        "excursions": {
            "count": len(calibration.excursions.spans),
            "directions": numbers(calibration.excursions.directions),
            "spans": numbers(calibration.excursions.spans),
        },
        "longest": calibration.longest,
        "windows": calibration.windows,
        "blocks": calibration.blocks,
    }


def _mix_body(mix: ClassMix) -> dict[str, Any]:
    """How the class mix is judged as evidence; earlier versions have none."""
    return {
        "judged": list(mix.judged),
        **{name: numbers(getattr(mix, name)) for name in ("overdispersion", "unit", "noise", "size")},
    }


def _pairs_body(pairs: Pairs) -> dict[str, Any]:
    """How pairs of features are judged; earlier versions have none."""
    return {name: numbers(getattr(pairs, name)) for name in ("step", "usual", "size")}


def _distances_body(calibration: Calibration) -> dict[str, Any]:
    """Usual sizes of statistics: those of IN_VERDICT in one array, as all versions read it, others by name."""
    by_name = dict(zip(STATISTICS, calibration.distances, strict=True))
    others = {
        name: numbers(usual)
        for name, usual in by_name.items()
        if name not in IN_VERDICT and name in calibration.tails
    }
    return {"distances": numbers(np.stack([by_name[name] for name in IN_VERDICT])), "more_distances": others}


_Shape = tuple[int | str, ...]
"""Sides of an array: F features, R common factors, C = F + R columns of evidence."""

_SHAPES: dict[str, _Shape] = {
    "noise": (len(ASPECTS), "C", DECAYS.size),
    "size": (len(ASPECTS), "C", AGES.size),
    "joint_mean": (AGES.size,),
    "joint_variance": (AGES.size,),
    "distances": (len(IN_VERDICT), SCALES.size, "F"),
    "classes": (2, SCALES.size),
}
_REFINEMENT_SHAPES: dict[str, _Shape] = {
    "offset": (len(ASPECTS), "F"),
    "most": (len(ASPECTS), "F"),
    "loud": (HOURS, len(ASPECTS), "F"),
    "unit": (len(ASPECTS), "F"),
    "loadings": (len(ASPECTS), "F", "R"),
}
_POSITIVE = ("loud", "unit", "noise", "size", "joint_mean", "joint_variance", "distances", "classes")


def calibration_of(body: Mapping[str, Any], features: int, classes: int) -> Calibration:
    """What `calibration_body` gave; BadInput for anything else."""
    refinement = _refinement(body, features)
    factors = refinement.factors
    arrays = _arrays(body, _SHAPES, features, factors)
    tails, known = take_object(body, "tails"), _known_distances(body, arrays.pop("distances"))
    mix = _mix(take_object(body, "mix"), classes) if "mix" in body else None
    counts = dict.fromkeys((*ASPECTS, *known), features) | {"joint": 1, "classes": 1}
    pairs = _pairs(take_object(body, "pairs"), features) if "pairs" in body else None
    if mix is not None:
        counts |= {"mix": len(mix.unit)}
    if pairs is not None:
        counts |= {"pairs": 1}
    if "factors" in body:
        counts |= dict.fromkeys(map(factors_of, ASPECTS), factors)
    unknown = np.full((SCALES.size, features), np.nan)
    return Calibration(
        **arrays,
        refinement=refinement,
        distances=np.stack([known.get(name, unknown) for name in STATISTICS]),
        tails={
            name: _tails(tails, name, counts[name]) for name in sorted(counts, key=[*tails, *counts].index)
        }
        | {name: () for name in (*map(factors_of, ASPECTS), "mix", "pairs") if name not in counts},
        mix=mix,
        pairs=pairs,
        excursions=_excursions(body, features + factors),
        longest=take_integer(body, "longest", minimum=0, maximum=_MOST_WINDOWS),
        windows=take_integer(body, "windows", minimum=0, maximum=_MOST_WINDOWS),
        blocks=take_integer(body, "blocks", minimum=0, maximum=_MOST_WINDOWS),
    )


def _mix(body: Mapping[str, Any], classes: int) -> ClassMix:
    judged = tuple(
        take_integers(body, "judged", longest=MOST_CLASSES, minimum=0, maximum=max(classes - 1, 0))
    )
    if len(set(judged)) != len(judged) or len(judged) > classes:
        raise BadInput("`judged` names a class twice, or one that the reference does not have")
    columns = len(judged) + 1
    return ClassMix(
        judged=judged,
        overdispersion=array(body, "overdispersion", (HOURS, 2), low=0.0),
        unit=array(body, "unit", (columns,), low=TINY),
        noise=array(body, "noise", (1, columns, DECAYS.size), low=TINY),
        size=array(body, "size", (1, columns, AGES.size), low=TINY),
    )


def _pairs(body: Mapping[str, Any], features: int) -> Pairs:
    count = features * (features - 1) // 2
    return Pairs(
        step=array(body, "step", (features,), low=0.0),
        usual=array(body, "usual", (count,), low=-CLEAREST, high=CLEAREST),
        size=array(body, "size", (PAIR_SCALES.size, count), low=TINY),
    )


def _refinement(body: Mapping[str, Any], features: int) -> Refinement:
    """Of version 1: windows are not bounded as a whole, and there are no common factors."""
    if "factors" not in body:
        known = {name: _REFINEMENT_SHAPES[name] for name in ("offset", "most", "loud")}
        arrays = _arrays(body, known, features, 0)
        return replace(nothing_learnt(arrays["offset"], arrays["most"]), loud=arrays["loud"])
    factors = take_integer(body, "factors", minimum=0, maximum=features)
    return Refinement(
        **_arrays(body, _REFINEMENT_SHAPES, features, factors),
        bound=take_number(body, "bound", minimum=TINY, maximum=UNBOUNDED),
    )


def _excursions(body: Mapping[str, Any], columns: int) -> Excursions:
    """Of version 1: none."""
    if "excursions" not in body:
        return no_excursions((len(ASPECTS), columns))
    entry = take_object(body, "excursions")
    count = take_integer(entry, "count", minimum=0, maximum=MOST_KEPT)
    return Excursions(
        directions=array(entry, "directions", (count, len(ASPECTS), columns)),
        spans=array(entry, "spans", (count,), low=0.0, high=_MOST_WINDOWS),
    )


def _arrays(
    body: Mapping[str, Any], shapes: Mapping[str, _Shape], features: int, factors: int
) -> dict[str, NDArray[np.float64]]:
    sides = {"F": features, "R": factors, "C": features + factors}
    return {
        name: array(
            body,
            name,
            [sides[side] if isinstance(side, str) else side for side in shape],
            low=TINY if name in _POSITIVE else 0.0 if name == "most" else -HUGE,
        )
        for name, shape in shapes.items()
    }


def _known_distances(
    body: Mapping[str, Any], in_verdict: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Usual sizes (4, F) by statistic: a reference of an earlier version lacks those not in IN_VERDICT."""
    others = take_object(body, "more_distances") if "more_distances" in body else {}
    shape = in_verdict.shape[1:]
    return dict(zip(IN_VERDICT, in_verdict, strict=True)) | {
        name: array(others, name, shape, low=TINY) for name in STATISTICS if name in others
    }


def _tails(body: Mapping[str, Any], name: str, count: int) -> tuple[Tail, ...]:
    stretches = take_list(body, name, longest=MOST_FEATURES)
    if len(stretches) != count:
        raise BadInput(f"`{name}` has {len(stretches)} tails; expected {count}")
    return tuple(
        Tail(stretch=take_number({name: each}, name, minimum=TINY, maximum=HUGE)) for each in stretches
    )
