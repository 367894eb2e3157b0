"""Signatures as text, and back; what is none is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.drift.diagnosis.accuracy import SIGNALS, Trials
from agent.drift.diagnosis.signatures import Signatures, from_text, to_text


def test_signatures_survive_storage(signatures: Signatures) -> None:
    again = from_text(to_text(signatures))
    assert again.frames == signatures.frames
    assert np.array_equal(again.none, signatures.none)
    for cause, curves in signatures.curves.items():
        assert all(np.array_equal(a, b) for a, b in zip(curves, again.curves[cause], strict=True))
    assert np.array_equal(again.portrait.view, signatures.portrait.view)
    assert again.portrait.size == (240, 135)
    assert again.found_at("fog", 0.35, 0) == pytest.approx(1 - 0.35 / 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", "x"), ("code", 0), ("code", "1"), ("none", "AAAA"), ("none", 3), ("curves", {}), ("found", []),
     ("portrait", {}), ("frames", 7), ("trials", 3), ("trials", {"causes": ["nobody"]}), ("trials", {"causes": [["fog"]]})],
)  # fmt: skip
def test_what_is_no_signature_is_refused(signatures: Signatures, key: str, value: object) -> None:
    body = json.loads(to_text(signatures))
    with pytest.raises(ReferenceMismatch):
        from_text(json.dumps({**body, key: value}))


def trials() -> Trials:
    signals = np.arange(2.0 * len(SIGNALS)).reshape(2, -1)
    return Trials(
        model="m", causes=("", "fog"), signals=signals, f1=np.array([1.0, 0.25]), base=signals[0], frames=8,
        classes={39: 24, 0: 3},
    )  # fmt: skip


def test_what_causes_do_to_the_model_survives_storage(signatures: Signatures) -> None:
    again = from_text(to_text(dataclasses.replace(signatures, trials=trials()))).trials
    assert again is not None
    assert (again.causes, again.classes, again.boxes) == (("", "fog"), {39: 24, 0: 3}, 27)
    assert np.array_equal(again.signals, trials().signals)


@pytest.mark.parametrize(
    "classes", [{"bottle": 1}, {"-1": 1}, {"1.5": 1}, {"01": 1}, {"9" * 400: 1}, {"1": 0}, {"1": "2"}, [], 7]
)
def test_classes_that_are_none_are_refused(signatures: Signatures, classes: object) -> None:
    body = json.loads(to_text(dataclasses.replace(signatures, trials=trials())))
    body["trials"]["classes"] = classes
    with pytest.raises(ReferenceMismatch):
        from_text(json.dumps(body))


@pytest.mark.parametrize("size", [[240], [240, 0], [240, 1.5], [240, True], ["240", 135], [240, 10**9], None])
def test_a_size_that_is_none_is_refused(signatures: Signatures, size: object) -> None:
    body = json.loads(to_text(signatures))
    body["portrait"]["size"] = size
    with pytest.raises(ReferenceMismatch):
        from_text(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "nothing", '{"format": "vedette-signatures"}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises((ReferenceMismatch, ValueError)):
        from_text(text)


def test_what_the_model_still_finds_is_told_of_the_variant_that_was_seen(signatures: Signatures) -> None:
    """A gain burns the picture out, a glare leaves most of it: their mean is true of neither."""
    shares = {**signatures.found, "overexposure": np.array([[1.0, 0.8, 0.0], [1.0, 1.0, 0.9]])}
    again = from_text(to_text(dataclasses.replace(signatures, found=shares)))
    assert [again.found_at("overexposure", 1.0, variant) for variant in (0, 1)] == [0.0, 0.9]
    assert again.found_at("overexposure", 1.0, 3) == pytest.approx(0.45), (
        "with the others the model was not run"
    )
