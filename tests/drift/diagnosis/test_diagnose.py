"""The diagnosis: a drawn street, disturbed by code that shares nothing with the signatures'."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.disturbances import EFFECTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.diagnose import Diagnosis, diagnose
from agent.drift.diagnosis.learn import sample
from agent.drift.diagnosis.match import IMAGE_FEATURES
from agent.drift.diagnosis.portrait import look_at
from agent.drift.diagnosis.signatures import Signatures
from agent.drift.verdict import ClassVerdict, DriftVerdict, FeatureVerdict
from agent.features import FEATURES

Frames = Callable[..., list[np.ndarray]]
NOT_KNOWN = np.full(len(IMAGE_FEATURES), np.nan)


def verdict_of(
    now: list[np.ndarray], then: list[np.ndarray], over: tuple[str, ...] = (), classes: float = 0.0
) -> DriftVerdict:
    """What the judge says where `now` is compared with `then`; of features that need a model, those `over` moved."""
    usual = np.percentile(sample(then).vectors, (10, 50, 90), axis=0)
    seen = np.percentile(sample(now).vectors, (10, 50, 90), axis=0)

    def feature(name: str) -> FeatureVerdict:
        known = name in IMAGE_FEATURES
        column = IMAGE_FEATURES.index(name) if known else 0
        triples = (seen[:, column], usual[:, column]) if known else (np.full(3, 1.0), np.full(3, 1.0))
        return FeatureVerdict(
            feature=name, aspect="location", score=0.0, limit=1.0, ratio=2.0 if name in over else 0.1,
            minutes=1.0, shift=0.0, distances={}, distance_minutes=1.0,
            now=tuple(triples[0].tolist()), then=tuple(triples[1].tolist()),
        )  # fmt: skip

    mix = ClassVerdict(distance=0.0, limit=1.0, ratio=classes, psi=0.0, psi_limit=1.0, minutes=1.0)
    return DriftVerdict(
        camera="street", start=0.0, end=60.0, judged=True, reason="", provisional=False, ratio=2.0,
        familiar=False, joint=0.0, joint_limit=1.0, joint_minutes=1.0, hour=12,
        features=tuple(feature(name) for name in FEATURES), classes=mix, alarm=True, alarm_since=60.0,
    )  # fmt: skip


class Clinic:
    """Diagnoses frames of the street."""

    def __init__(self, street: object, signatures: Signatures) -> None:
        self.frames: Frames = street.frames  # type: ignore[attr-defined]  # the fixture's class is no module's
        self._then, self._signatures = self.frames(0, 8), signatures

    def __call__(self, now: list[np.ndarray], golden: str = "", **verdict: object) -> Diagnosis:
        looks = [look_at(each) for each in now]
        recent = np.median(sample(now).vectors, axis=0)
        judged = verdict_of(now, self._then, **verdict)  # type: ignore[arg-type]  # as given
        return diagnose(judged, self._signatures, looks, recent, golden=golden)


@pytest.fixture(scope="module")
def clinic(street: object, signatures: Signatures) -> Clinic:
    return Clinic(street, signatures)


@pytest.mark.parametrize(
    ("effect", "strength", "cause"),
    [
        ("fog", 0.8, "fog"),
        ("fog", 0.4, "fog"),
        ("colour_cast", 0.8, "colour_cast"),
        ("blur", 0.6, "defocus"),
        ("darkness", 0.8, "low_light"),
        ("knocked", 1.0, "moved"),
    ],
)
def test_a_disturbance_is_named(clinic: Clinic, effect: str, strength: float, cause: str) -> None:
    now = [EFFECTS[effect](each, strength) for each in clinic.frames(40, 6)]
    found = clinic(now, over=("brightness",))
    assert found.cause == cause
    assert not found.also
    assert found.confidence > 0.3
    assert found.severity is not None
    assert found.found_ratio == pytest.approx(1.0 - found.severity / 2)


@pytest.mark.parametrize(
    ("first", "second", "causes"),
    [
        (("fog", 0.6), ("darkness", 0.6), {"fog", "low_light"}),
        (("blur", 0.6), ("colour_cast", 0.8), {"defocus", "colour_cast"}),
    ],
)
def test_of_two_disturbances_at_once_both_are_named(
    clinic: Clinic, first: tuple[str, float], second: tuple[str, float], causes: set[str]
) -> None:
    now = clinic.frames(40, 6)
    for effect, strength in (first, second):
        now = [EFFECTS[effect](each, strength) for each in now]
    found = clinic(now, over=("brightness",))
    assert {found.cause, found.also} == causes
    assert found.words.count(", together with ") == 1
    assert CAUSES[found.also].advice in found.advice


def test_noise_that_the_scene_draws_is_named(clinic: Clinic) -> None:
    assert clinic(clinic.frames(40, 6, noise=4.0), over=("noise",)).cause == "noise"


def test_another_place_is_another_scene(clinic: Clinic) -> None:
    place = Scene("warehouse", 3, 240, 135)
    now = [np.array(place.draw(at / 2, 12.0, at).image) for at in range(6)]
    assert clinic(now, over=("brightness",)).cause == "other_scene"


def test_a_quiet_image_with_other_objects_is_another_population(clinic: Clinic) -> None:
    assert clinic(clinic.frames(40, 6), over=("box_size",)).cause == "population"
    assert clinic(clinic.frames(40, 6), classes=2.0).cause == "population"


def test_a_quiet_image_whose_scores_alone_moved_is_the_model(clinic: Clinic) -> None:
    for golden in ("waiting", "differs", "off"):
        found = clinic(clinic.frames(40, 6), over=("confidence_mean",), golden=golden)
        assert (found.cause, found.second) == ("model", "population")


def test_a_model_that_agrees_with_itself_is_not_the_cause(clinic: Clinic) -> None:
    found = clinic(clinic.frames(40, 6), over=("confidence_mean", "suppressed"), golden="agrees")
    assert (found.cause, found.second) == ("population", "")
    found = clinic(clinic.frames(40, 6), over=("confidence_mean", "box_size"), golden="agrees")
    assert (found.cause, found.second) == ("population", "")
    assert clinic(clinic.frames(40, 6), golden="agrees").cause == "unknown"


def test_a_fault_that_has_just_begun_is_named_though_the_judge_still_looks_at_frames_of_before(
    clinic: Clinic, signatures: Signatures
) -> None:
    """The embedding is over its limit at once; the image's numbers are compared over many windows, and are quiet."""
    before = clinic.frames(40, 6)
    fog = [EFFECTS["fog"](each, 0.8) for each in before]
    early = verdict_of(before, before, over=("embedding_0",))
    found = diagnose(
        early, signatures, [look_at(each) for each in fog], np.median(sample(fog).vectors, axis=0)
    )
    assert found.cause == "fog"


def test_what_cannot_be_told_says_why(street: object, clinic: Clinic, signatures: Signatures) -> None:
    now = clinic.frames(40, 6)
    verdict = verdict_of(now, now)
    looks = [look_at(each) for each in now]
    assert "learnt" in diagnose(verdict, None, looks, NOT_KNOWN).reason
    assert "2 frames" in diagnose(verdict, signatures, looks[:2], NOT_KNOWN).reason
    odd = [*looks, look_at(now[0][:100])]
    assert diagnose(verdict, signatures, odd, NOT_KNOWN).reason == "frames came in several sizes"
    assert clinic(now).cause == "unknown"


@pytest.mark.parametrize("factor", [0.5, 1.8])
def test_frames_of_another_size_are_not_compared(
    clinic: Clinic, signatures: Signatures, factor: float
) -> None:
    """Their detail is of another scale: larger ones were told to be badly compressed."""
    now = [cv2.resize(each, None, fx=factor, fy=factor) for each in clinic.frames(40, 6)]
    found = clinic(now, over=("sharpness",))
    assert found.cause == "unknown"
    assert "another size" in found.reason
    assert "240 x 135" in found.reason


def test_a_few_rows_more_are_no_other_size(clinic: Clinic) -> None:
    fog = [EFFECTS["fog"](each, 0.8) for each in clinic.frames(40, 6)]
    padded = [cv2.resize(each, (240, 136)) for each in fog]
    assert clinic(padded, over=("brightness",)).cause == "fog"
