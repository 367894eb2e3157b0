"""A diagnosis in words: the cause, how sure, how severe, what else, and what the model still finds."""

import dataclasses

import pytest

from agent.core.types import Observation
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.diagnose import OTHER_WORDS, Diagnosis
from agent.references.cause_wording import cause_evidence, cause_fields, cause_sentence, with_cause

FOG = Diagnosis(cause="fog", confidence=0.62, severity=0.5, variant=1, second="dirt", found_ratio=0.66)
RATIO = Observation(
    metric="drift.ratio", value=2.0, at=0.0, text="drift of noise", advice="Or accept it.", evidence={"a": 1}
)


def test_a_sentence_names_cause_confidence_severity_second_and_what_is_still_found():
    assert cause_sentence(FOG) == (
        "probably fog, haze or a misted lens (62 % sure, moderate), else dirt or drops on the lens; in frames of the "
        "reference changed like this the model finds 66 % of what it finds without"
    )


def test_two_causes_at_once_are_both_named_with_what_to_do_about_each():
    both = dataclasses.replace(FOG, also="low_light", second="infrared", confidence=0.9, found_ratio=None)
    assert cause_sentence(both) == (
        f"most likely fog, haze or a misted lens, together with {CAUSES['low_light'].words} (90 % sure, moderate)"
    )
    assert CAUSES["fog"].advice in both.advice and CAUSES["low_light"].advice in both.advice
    assert cause_fields(both)["drift_cause_also"] == "low_light"
    assert cause_evidence(both)["also"] == "low_light"
    again = dataclasses.replace(both, second="low_light", confidence=0.6)
    assert "else" not in cause_sentence(again), "what is there besides is no second guess"


def test_what_is_unknown_says_why():
    assert (
        cause_sentence(Diagnosis(cause="unknown", reason="it is dark"))
        == "its cause is unknown, because it is dark"
    )


@pytest.mark.parametrize("cause", [*CAUSES, *OTHER_WORDS])
def test_every_cause_has_words_fields_and_an_advice(cause):
    found = Diagnosis(cause=cause, confidence=0.9, reason="of a reason")
    assert cause_sentence(found)
    assert found.advice
    assert cause_fields(found) == {"drift_cause": cause, "drift_cause_confidence": 0.9}


def test_the_alert_has_the_cause_in_text_advice_and_evidence():
    other = Observation(metric="drift.joint_ratio", value=2.0, at=0.0)
    named, same = with_cause([RATIO, other], FOG)
    assert named.text.startswith("probably fog") and named.text.endswith("without: drift of noise")
    assert named.advice.startswith("Wait for the weather") and named.advice.endswith("Or accept it.")
    assert named.evidence == {
        "a": 1,
        "cause": {
            "name": "fog", "confidence": 0.62, "runbook": "drift", "severity": 0.5, "variant": 1, "second": "dirt",
            "found_ratio": 0.66,
        },
    }  # fmt: skip
    assert named.headline == ""  # no alarm is on
    alarmed = dataclasses.replace(RATIO, headline="a large change of noise")
    assert (
        with_cause([alarmed], FOG)[0].headline == "a large change of noise: fog"
    )  # another cause updates the alert
    assert same is other


def test_without_a_diagnosis_nothing_is_added():
    assert with_cause([RATIO], None) == [RATIO]
    assert cause_fields(None) == {}
