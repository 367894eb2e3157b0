"""A diagnosis in words and fields: for the summary, the alert and the explanation. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from agent.core.types import Observation
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.diagnose import OTHER_WORDS, UNKNOWN, Diagnosis
from agent.drift.verdict import DriftVerdict
from agent.references.stored import StoredReference
from agent.references.wording import explanation

_SURE, _LIKELY = 0.8, 0.5
_SEVERITIES = ((0.66, "severe"), (0.33, "moderate"), (0.0, "slight"))


def cause_fields(found: Diagnosis | None) -> dict[str, object]:
    """The fields of a camera's summary."""
    if found is None:
        return {}
    fields: dict[str, object] = {
        "drift_cause": found.cause,
        "drift_cause_confidence": round(found.confidence, 2),
    }
    return {**fields, "drift_cause_also": found.also} if found.also else fields


def cause_sentence(found: Diagnosis) -> str:
    """`most likely fog, haze or a misted lens (87 % sure, severe), else dirt or drops on the lens`."""
    if found.cause == UNKNOWN:
        return f"its cause is unknown, because {found.reason}"
    sure = (
        "most likely"
        if found.confidence >= _SURE
        else "probably"
        if found.confidence >= _LIKELY
        else "perhaps"
    )
    details = [f"{round(100 * found.confidence)} % sure"]
    if found.severity is not None:
        details.append(next(word for least, word in _SEVERITIES if found.severity >= least))
    second = (
        f", else {_words(found.second)}"
        if found.second and found.second != found.also and found.confidence < _SURE
        else ""
    )
    share = ""
    if found.found_ratio is not None:
        share = f"; in frames of the reference changed like this the model finds {round(100 * found.found_ratio)} %"
        share += " of what it finds without"
    return f"{sure} {found.words} ({', '.join(details)}){second}{share}"


def explained(verdict: DriftVerdict, stored: StoredReference, found: Diagnosis | None) -> str:
    """A verdict for `vedette drift explain`, with its cause."""
    words = explanation(verdict, stored)
    return words if found is None else f"{words}\n  {cause_sentence(found)}"


def with_cause(observations: Sequence[Observation], found: Diagnosis | None) -> list[Observation]:
    """The observations of a verdict, that of `drift.ratio` with its cause."""
    if found is None:
        return list(observations)
    return [_named(one, found) if one.metric == "drift.ratio" else one for one in observations]


def _named(one: Observation, found: Diagnosis) -> Observation:
    advice = "" if found.cause == UNKNOWN else f"{found.advice[0].upper()}{found.advice[1:]}."
    return dataclasses.replace(
        one,
        text=_caused(one.text, found),
        headline=f"{one.headline}: {found.cause}" if one.headline else "",
        advice=" ".join(filter(None, (advice, one.advice))),
        evidence={**one.evidence, "cause": cause_evidence(found)},
    )


def _caused(text: str, found: Diagnosis) -> str:
    """The cause first, for a long text is cut; a reason why it is unknown last."""
    if found.cause == UNKNOWN:
        return f"{text}; {cause_sentence(found)}"
    return f"{cause_sentence(found)}: {text}"


def cause_evidence(found: Diagnosis) -> dict[str, Any]:
    """What the evidence of an alert has of it, as JSON values."""
    evidence: dict[str, Any] = {
        "name": found.cause,
        "confidence": round(found.confidence, 2),
        "runbook": found.runbook,
    }
    if found.severity is not None:
        evidence |= {"severity": round(found.severity, 2), "variant": found.variant}
    if found.second:
        evidence["second"] = found.second
    if found.also:
        evidence["also"] = found.also
    if found.found_ratio is not None:
        evidence["found_ratio"] = round(found.found_ratio, 2)
    return evidence | ({"reason": found.reason} if found.reason else {})


def _words(cause: str) -> str:
    return CAUSES[cause].words if cause in CAUSES else OTHER_WORDS[cause]
