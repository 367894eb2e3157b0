"""A verdict in words: the summary's fields, the rules' observations, the alert's sentence, the explanation. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from agent.alerts.words import duration, quantity
from agent.core.counts import figures, multiple
from agent.core.metrics.definition import NAMED_FEATURES
from agent.core.types import Observation
from agent.drift.statistics import IN_VERDICT, statistics
from agent.drift.verdict import ClassVerdict, DriftVerdict, FeatureVerdict, OutlierCount, PairVerdict
from agent.references.stored import StoredReference

LEAST_RAISED = 1.02
"""Limits that are raised by less are not spoken of."""

IN_EVIDENCE = 6
EXPLAINED = 5
_WORTH_EXPLAINING = 0.5  # of its limit
_WORTH_NAMING = 0.6  # of its limit
_PROJECTION = "embedding_"
_SIGMAS_WITHIN = 2.563  # a normal distribution's, from its 10th to its 90th percentile
_MOST_SIGMAS = 99.0
_SIZES = (
    (10.0, "an extreme change"),
    (3.0, "a large change"),
    (1.0, "a clear change"),
    (0.0, "a small change that lasts"),
)

ASPECT_WORDS = {"location": "", "spread": " in spread", "noise": " from frame to frame", "shape": " in shape"}


def fields_of(verdict: DriftVerdict, reference_id: str) -> dict[str, object]:
    """The fields of a camera's summary."""
    fields: dict[str, object] = {
        "drift_state": "drift" if verdict.alarm else "normal",
        "drift_reference": reference_id,
    }
    if verdict.provisional:
        fields["drift_provisional"] = True
    if verdict.alarm_since is not None:
        fields["drift_since"] = verdict.alarm_since
    if verdict.outliers is not None:
        fields["drift_reason"] = _outliers(verdict.outliers)
    if not verdict.judged:
        return {
            **fields,
            "drift_state": "drift" if verdict.alarm else "silent",
            "drift_reason": verdict.reason,
        }
    strongest = verdict.strongest(NAMED_FEATURES)
    worst = named(verdict)[0]
    fields |= {
        "drift_ratio": _short(verdict.ratio),
        "drift_joint_ratio": _short(max(verdict.joint_ratio, 0.0)),
        "drift_feature": worst.feature,
        **{f"drift_{name}": _short(worst.distances[name].value) for name in IN_VERDICT},
    }
    if _reachable(worst):
        fields |= {f"drift_{name}_limit": _short(worst.distances[name].limit) for name in IN_VERDICT}
    if verdict.raised >= LEAST_RAISED:
        fields["drift_limit_factor"] = _short(verdict.raised)
    if verdict.classes is not None:
        fields["drift_classes_ratio"] = _short(verdict.classes.ratio)
    return fields | {f"drift_{each.feature}_ratio": _short(each.ratio) for each in strongest}


def _reachable(each: FeatureVerdict) -> bool:
    """Whether distances can reach their limits: against a short reference those may lie beyond, and are none."""
    return each.distances["ks"].limit < 1.0


def observations_of(verdict: DriftVerdict, stored: StoredReference, at: float) -> list[Observation]:
    """The observations for the rules; none where nothing could be judged and no alarm is on.

    While the alarm is on, `drift.ratio` does not fall below 1: the scores fade although a change lasts, and the alarm
    ends when the change has ended, not when a night comes that the reference does not know.
    """
    labels = {"camera": verdict.camera}
    if not verdict.judged:
        text = f"drift as before; not judged at the moment: {verdict.reason}"
        lasting = Observation(
            metric="drift.ratio",
            value=max(verdict.ratio, 1.0),
            at=at,
            labels=labels,
            text=text,
            advice=way_out(verdict),
        )
        return [lasting] if verdict.alarm else []
    ratio = max(verdict.ratio, 1.0) if verdict.alarm else verdict.ratio

    def plain(name: str, value: float) -> Observation:
        return Observation(metric=f"drift.{name}", value=value, at=at, labels=labels)

    def feature(each: FeatureVerdict) -> Observation:
        text = (
            f"drift of {each.feature.replace('_', ' ')}, {multiple(each.ratio, 'its limit')}: {_detail(each)}"
        )
        return Observation(
            metric=f"drift.{each.feature}_ratio",
            value=each.ratio,
            at=at,
            labels=labels,
            text=f"{text}; compared with {_hour(verdict.hour)}",
            evidence=_numbers(each),
        )

    found = [
        Observation(
            metric="drift.ratio",
            value=ratio,
            at=at,
            labels=labels,
            text=sentence(verdict, stored),
            evidence=evidence_of(verdict, stored.id),
            advice=way_out(verdict),
        ),
        plain("joint_ratio", max(verdict.joint_ratio, 0.0)),
    ]
    if verdict.classes is not None:
        found.append(plain("classes_ratio", verdict.classes.ratio))
    return found + [feature(each) for each in verdict.features]


def named(verdict: DriftVerdict) -> tuple[FeatureVerdict, ...]:
    """The features that a verdict is about: those over their limits, else those that add up; the strongest first, but
    those with a meaning before projections of the embedding."""
    ranked = verdict.strongest(len(verdict.features))
    over = [each for each in ranked if each.over]
    near = [each for each in ranked if each.ratio >= _WORTH_NAMING]
    about = over or near or ranked[:NAMED_FEATURES]
    return tuple(sorted(about, key=lambda each: each.feature.startswith(_PROJECTION))[:IN_EVIDENCE])


def size_of(about: Sequence[FeatureVerdict]) -> str:
    """How unusual the largest change among the features that stand out is, in words and in sigma of the camera's own
    scatter (a tenth to nine tenths of its values lie within 2.56 sigma); empty where none does."""
    notable = [each for each in about if each.ratio >= _WORTH_NAMING]
    if largest := largest_sigmas(about):
        return f"{size_word(largest)} ({figures(min(largest, _MOST_SIGMAS), 2)} sigma)"
    if not notable:
        return ""
    times = figures(float(np.exp(np.clip(notable[0].shift, -7.0, 7.0))), 2)
    return f"{'scatter' if notable[0].aspect == 'spread' else 'steps from frame to frame'} {times} times the usual"


def largest_sigmas(about: Sequence[FeatureVerdict]) -> float:
    """By how many sigma the level moved that moved most, of the features that stand out; 0 where none does."""
    notable = (each for each in about if each.ratio >= _WORTH_NAMING)
    return max((_sigmas(each) for each in notable if each.aspect in {"location", "shape"}), default=0.0)


def size_word(sigmas: float) -> str:
    """How large a change of so many sigma is."""
    return next(word for least, word in _SIZES if sigmas >= least)


def _sigmas(each: FeatureVerdict) -> float:
    """By how many sigma of its usual scatter a feature's median has moved."""
    moved, scatter = abs(each.now[1] - each.then[1]), (each.then[2] - each.then[0]) / _SIGMAS_WITHIN
    return moved / scatter if scatter > 0 else (_MOST_SIGMAS if moved > 0 else 0.0)


def sentence(verdict: DriftVerdict, stored: StoredReference) -> str:
    """The verdict as one sentence: which features, how they were and are, compared with which hour."""
    about = named(verdict)
    names = [each.feature.replace("_", " ") for each in about]
    if verdict.classes is not None and verdict.classes.ratio >= 1.0:
        names = ["class mix", *names] if verdict.classes.ratio >= about[0].ratio else [*names, "class mix"]
    details = [_detail(each) for each in about[:NAMED_FEATURES]]
    if verdict.pair is not None and verdict.pair.ratio >= max(1.0, about[0].ratio):
        names, details = (names, details) if about[0].over else ([], [])
        names, details = [_pair_name(verdict.pair), *names], [_pair_detail(verdict.pair), *details]
    if verdict.ratio >= 1:
        times = size_of(about) or multiple(verdict.ratio, "the limit")
    else:
        times = f"now {figures(verdict.ratio, 2)} of the limit"
    if verdict.pause_ends is not None:
        until = f"{datetime.fromtimestamp(verdict.pause_ends, timezone.utc):%Y-%m-%dT%H:%MZ}"
        times += f", as it comes and goes with the hours; over if it stays away until {until}"
    kind = "drift of" if verdict.alarm and verdict.outliers is None else "change of"
    excused = verdict.familiar and not verdict.alarm  # in a pause of a daily change the alarm stays on
    known = "; the like came and went before, so it is no alarm unless it lasts" if excused else ""
    if verdict.raised >= LEAST_RAISED and not verdict.alarm:
        known += f"; limits are {round(100 * verdict.raised) - 100} % higher, since alarms came and went"
    found = f"{kind} {_listed(names)}, {times}: {'; '.join(details)}; compared with {_normal(verdict, stored)}{known}"
    return found if verdict.outliers is None else f"drift: {_outliers(verdict.outliers)}; {found}"


def way_out(verdict: DriftVerdict) -> str:
    """The command that accepts the drift of an alarm; empty where there is none."""
    if verdict.alarm_since is None:
        return ""
    since = f"{datetime.fromtimestamp(verdict.alarm_since, timezone.utc):%Y-%m-%dT%H:%MZ}"
    return f"If it is fine as it is: vedette reference accept --camera {verdict.camera} --since {since}"


def _normal(verdict: DriftVerdict, stored: StoredReference) -> str:
    """What the verdict compares with, and with what reserve it is to be taken."""
    if stored.reference.any_hour:
        return "a reference made of images (provisional)"
    if stored.reference.carried:
        return (
            f"{_hour(verdict.hour)} of the reference before, as this model sees its kept frames (provisional)"
        )
    if verdict.provisional:
        covered = duration(stored.reference.origin.covered)
        return f"{_hour(verdict.hour)} of a reference of {covered} (provisional)"
    return _hour(verdict.hour)


def explanation(verdict: DriftVerdict, stored: StoredReference) -> str:
    """A verdict for `vedette drift explain`: the alert's sentence, then numbers of what comes nearest its limit."""
    if not verdict.judged:
        return f"not judged: {verdict.reason}"
    strongest = verdict.strongest(EXPLAINED)
    near = [each for each in strongest if each is strongest[0] or each.ratio >= _WORTH_EXPLAINING]
    lines = [sentence(verdict, stored), *map(_feature_line, near)]
    if verdict.classes is not None and verdict.classes.ratio >= _WORTH_EXPLAINING:
        lines.append(_classes_line(verdict.classes))
    if verdict.pair is not None and verdict.pair.ratio >= _WORTH_EXPLAINING:
        lines.append(f"{_pair_detail(verdict.pair)}: {multiple(verdict.pair.ratio, 'its limit')}")
    over = _span(60 * verdict.joint_minutes)
    lines.append(
        f"all features together: score {verdict.joint:.1f} (limit {verdict.joint_limit:.1f}) over {over}"
    )
    return "\n  ".join(lines)


def _feature_line(each: FeatureVerdict) -> str:
    """`sharpness: score 8.1 (limit 5.4) over 16 min; KS 0.41 (limit 0.12), PSI 0.9 (limit 0.31) over 16 min`."""
    distances = ", ".join(
        f"{statistic.title} {value:.2f} ({_limit(limit if _reachable(each) else np.inf, statistic.most)})"
        for statistic, (value, limit) in zip(statistics(), each.distances.values(), strict=True)
    )
    return (
        f"{_name(each)}: score {abs(each.score):.1f} (limit {each.limit:.1f}) over {_span(60 * each.minutes)}; "
        f"{distances} over {_span(60 * each.distance_minutes)}"
    )


def _name(each: FeatureVerdict) -> str:
    return each.feature.replace("_", " ") + ASPECT_WORDS[each.aspect]


def _classes_line(mix: ClassVerdict) -> str:
    return (
        f"class mix: Jensen-Shannon {mix.distance:.2f} ({_limit(mix.limit, 1.0)}), PSI {mix.psi:.2f} "
        f"({_limit(mix.psi_limit if mix.limit < 1.0 else np.inf, np.inf)}) over {_span(60 * mix.minutes)}"
    )


def _pair_name(pair: PairVerdict) -> str:
    return f"correlation of {pair.first.replace('_', ' ')} and {pair.second.replace('_', ' ')}"


def _pair_detail(pair: PairVerdict) -> str:
    """`correlation of brightness and noise 0.91 instead of 0.05 over 64 min`."""
    return (
        f"{_pair_name(pair)} {pair.correlation:.2f} instead of {pair.usual:.2f} "
        f"over {_span(60 * pair.minutes)}"
    )


def _limit(limit: float, most: float) -> str:
    """The limit of a distance that goes from 0 to `most`; NaN: the reference is older than the statistic."""
    return f"limit {limit:.2f}" if limit < most else "too little reference for a limit"


def outlier_fields(found: OutlierCount) -> dict[str, object]:
    """The fields of a camera's summary about single frames."""
    return {"frames_outlying": found.outliers, "drift_outlier_ratio": _short(found.outliers / found.frames)}


def outlier_observation(found: OutlierCount, camera: str, at: float) -> Observation:
    """The share of outliers, for the rules."""
    return Observation(
        metric="drift.outlier_ratio",
        value=found.outliers / found.frames,
        at=at,
        labels={"camera": camera},
        text=_outliers(found) if found.outliers else "",
        evidence={"frames": found.frames, "outliers": found.outliers, "by": list(found.reasons)},
    )


def _outliers(found: OutlierCount) -> str:
    by = f" (by {', '.join(name.replace('_', ' ') for name in found.reasons)})" if found.reasons else ""
    share = quantity(found.outliers / found.frames, "ratio")
    return f"{share} of frames are unlike all that the reference knows{by}"


def evidence_of(verdict: DriftVerdict, reference_id: str) -> Mapping[str, Any]:
    """The numbers behind an alert, as plain JSON values."""
    evidence: dict[str, Any] = {
        "window": _time_judged(verdict),
        "ratio": _short(verdict.ratio),
        "joint": _short(verdict.joint),
        "joint_limit": _short(verdict.joint_limit),
        "hour_compared": f"{verdict.hour:02d}-{(verdict.hour + 1) % 24:02d} UTC",
        "reference": reference_id,
        "provisional": verdict.provisional,
        "features": {each.feature: _numbers(each) for each in named(verdict)},
    }
    if verdict.outliers is not None:
        found = verdict.outliers
        evidence |= {"outlying_ratio": _short(found.outliers / found.frames), "by": list(found.reasons)}
    if verdict.classes is not None:
        mix = verdict.classes
        evidence["class_mix"] = {
            "jensen_shannon": _short(mix.distance),
            "psi": _short(mix.psi),
            "ratio": _short(mix.ratio),
        }
        if mix.limit < 1.0:  # else no distance reaches it
            evidence["class_mix"] |= {"limit": _short(mix.limit), "psi_limit": _short(mix.psi_limit)}
    if verdict.pair is not None and verdict.pair.ratio >= _WORTH_EXPLAINING:
        pair = verdict.pair
        evidence["pair"] = {
            "features": [pair.first, pair.second],
            "correlation": _short(pair.correlation),
            "normal": _short(pair.usual),
            "ratio": _short(pair.ratio),
        }
    return evidence


def _numbers(each: FeatureVerdict) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ratio": _short(each.ratio),
        "aspect": each.aspect,
        "score": _short(each.score),
        "limit": _short(each.limit),
        "minutes": _short(each.minutes),
        "now_p10_p50_p90": [_short(value) for value in each.now],
        "normal_p10_p50_p90": [_short(value) for value in each.then],
    }
    if each.aspect in {"location", "shape"}:
        found["sigmas"] = _short(min(_sigmas(each), _MOST_SIGMAS))
    for name in IN_VERDICT:
        found[name] = _short(each.distances[name].value)
        if _reachable(each):
            found[f"{name}_limit"] = _short(each.distances[name].limit)
    return found


def _detail(each: FeatureVerdict) -> str:
    """`sharpness 31/35/41 instead of 180/210/240 (p10/p50/p90) over 6 min`."""
    return (
        f"{_name(each)} {_three(each.now)} instead of {_three(each.then)} (p10/p50/p90) "
        f"over {_span(60 * each.minutes)}"
    )


def _time_judged(verdict: DriftVerdict) -> str:
    longest = max((each.minutes for each in named(verdict)), default=0.0)
    start, end = verdict.end - 60 * longest, verdict.end
    first, last = (datetime.fromtimestamp(at, timezone.utc) for at in (start, end))
    return f"over {first:%H:%M:%S}-{last:%H:%M:%S} UTC, compared with {_hour(verdict.hour)}"


def _hour(hour: int) -> str:
    return f"{hour:02d}-{(hour + 1) % 24:02d} h UTC"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _three(values: tuple[float, float, float]) -> str:
    return "/".join(map(figures, values))


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _short(value: float) -> float:
    return float(f"{value:.3g}")
