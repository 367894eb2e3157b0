"""Advice: one action for every situation, in the order of precedence, with what speaks for it and against."""

import dataclasses
import itertools

import pytest

from agent.cli import COMMANDS
from agent.drift.advice import DAY, Action, Situation, advise
from agent.drift.course import Course
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.accuracy import untold as untold_of
from agent.drift.diagnosis.diagnose import OTHER_WORDS

ON = Situation(camera="front", lasts=3600.0, confidence=0.9)


def action(**known):
    return advise(dataclasses.replace(ON, **known)).action


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"lasts": None, "cause": "fog"}, Action.NOTHING),
        ({"cause": "fog"}, Action.WAIT),
        ({"cause": "fog", "lasts": 2 * DAY}, Action.MEND),
        ({"cause": "fog", "confidence": 0.3}, Action.LOOK),
        ({"cause": "fog", "golden": "differs"}, Action.CHECK_MODEL),
        ({"cause": "dirt"}, Action.MEND),
        ({"cause": "dirt", "right_ratio": 0.95}, Action.MEND),
        ({"cause": "moved"}, Action.POINT_BACK),
        ({"cause": "other_scene", "lasts": 8 * DAY}, Action.RECORD),
        ({"cause": "none"}, Action.LOOK),
        ({"cause": "unknown", "confidence": 0.0}, Action.LOOK),
        ({"cause": "", "confidence": 0.0}, Action.LOOK),
        ({"cause": "model"}, Action.CHECK_MODEL),
        ({"cause": "population"}, Action.RETRAIN),
        ({"cause": "population", "crept": True}, Action.TRAIN_ON),
        ({"cause": "population", "course": Course(change="gradual", since=1.0)}, Action.TRAIN_ON),
        ({"cause": "population", "course": Course(change="abrupt", since=1.0)}, Action.RETRAIN),
        ({"cause": "overexposure"}, Action.MEND),
        ({"cause": "overexposure", "course": Course(daily=True)}, Action.RECORD),
        ({"cause": "dirt", "course": Course(daily=True)}, Action.MEND),
        ({"cause": "population", "right_ratio": 0.85}, Action.ACCEPT),
        ({"cause": "population", "right_ratio": 0.5}, Action.RETRAIN),
    ],
)
def test_each_situation_has_its_action(known, wanted):
    assert action(**known) is wanted


def test_every_situation_has_words_evidence_and_a_command_that_there_is():
    causes = ["", *CAUSES, *OTHER_WORDS]
    for cause, sure, lasts, changed, ratio in itertools.product(
        causes, (0.0, 0.9), (None, 60.0, 30 * DAY), ("agrees", "differs"), (None, 0.2, 0.95)
    ):
        one = advise(
            Situation(
                camera="front", cause=cause, confidence=sure, lasts=lasts, golden=changed, found_ratio=ratio,
                right_ratio=ratio,
            )
        )  # fmt: skip
        assert one.words
        assert one.command.split()[1] in COMMANDS
        assert bool(one.for_it) == (lasts is not None)
        assert "{" not in one.command + "".join(one.against)


def test_a_model_that_gives_what_it_gave_speaks_against_blaming_it():
    agrees = "the golden check agrees"
    scene = advise(dataclasses.replace(ON, cause="population", golden="agrees"))
    assert any(reason.startswith(agrees) for reason in scene.for_it)
    blamed = advise(dataclasses.replace(ON, cause="model", golden="agrees"))
    assert any(reason.startswith(agrees) for reason in blamed.against)
    for golden in ("differs", "waiting", "off", ""):
        other = advise(dataclasses.replace(ON, cause="population", golden=golden))
        assert agrees not in " ".join((*other.for_it, *other.against))


def test_what_speaks_for_it_and_against_has_the_numbers():
    one = advise(dataclasses.replace(ON, cause="population", found_ratio=0.95, right_ratio=0.6))
    assert one.for_it == (
        "the alarm has been on for 60 min",
        "cause: population (90 % sure)",
        "F1 of labelled samples since then is 0.60 or more, no better is certain",
    )
    assert "in frames changed like this the model still finds 95 %" in one.against


def test_what_cannot_be_told_says_why():
    """`cause: unknown` and silence about the accuracy told nobody what to do about either."""
    blind = advise(
        dataclasses.replace(
            ON, cause="unknown", confidence=0.0, why_no_cause="2 frames were looked at, 3 are needed",
            why_no_accuracy="the box had no idle time for it lately",
        )
    )  # fmt: skip
    assert "the cause is unknown, because 2 frames were looked at, 3 are needed" in blind.for_it
    assert (
        "the model's present accuracy is unknown without labels, because the box had no idle time for it lately"
    ) in blind.against
    untold = untold_of("m")
    strangers = advise(dataclasses.replace(ON, cause="population", accuracy=untold))
    assert "no known cause of the picture explains the drift" in strangers.against[1]
    few = advise(dataclasses.replace(ON, cause="dirt", accuracy=untold))
    assert "it finds too few boxes here" in few.against[1]
