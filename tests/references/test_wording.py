import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from agent.drift.judge import DriftJudge
from agent.drift.verdict import Measured, PairVerdict
from agent.references.wording import evidence_of, explanation, fields_of, named, observations_of, sentence
from tests.drift.test_verdict import FELL, feature, verdict
from tests.references.conftest import NOON, Source


def verdicts(stored, windows=6, **shift):
    judge, source = DriftJudge(stored.reference), Source(start=NOON + 3600, seed=4)
    return [judge.judge(window, window.end) for window, _ in (source.window(**shift) for _ in range(windows))]


def test_the_summary_names_the_worst_few_and_stays_small(stored):
    fields = fields_of(verdicts(stored)[-1], "abc")
    assert fields["drift_state"] == "normal"
    assert 0 <= fields["drift_ratio"] < 1
    assert sum(name.endswith("_ratio") for name in fields) <= 6
    assert len(json.dumps(fields)) < 500


def test_a_drift_is_told_with_the_features_how_they_were_and_are_and_the_hour(stored):
    verdict = verdicts(stored, sharpness=-8, noise=8)[-1]
    assert verdict.alarm
    said = sentence(verdict, stored)
    assert said.startswith("drift of ")
    assert "sharpness" in said
    assert "noise" in said
    assert "instead of" in said
    assert "compared with 12-13 h UTC of a reference of 1 h (provisional)" in said
    fields = fields_of(verdict, "abc")
    assert fields["drift_state"] == "drift"
    assert fields["drift_feature"] in {"sharpness", "noise"}
    evidence = json.loads(json.dumps(evidence_of(verdict, "abc")))
    assert {"sharpness", "noise"} <= set(evidence["features"])
    noise = evidence["features"]["noise"]
    assert noise["now_p10_p50_p90"][1] > noise["normal_p10_p50_p90"][2]
    assert "compared with 12-13 h UTC" in evidence["window"]
    assert evidence["reference"] == "abc"


def test_the_rules_are_told_every_ratio_and_an_alarm_is_never_below_one(stored):
    judge, source = DriftJudge(stored.reference), Source(start=NOON + 3600, seed=4)
    for _ in range(4):
        window, _ = source.window(brightness=9)
        verdict = judge.judge(window, window.end)
    assert verdict.alarm
    while verdict.ratio >= 1:
        window, _ = source.window()
        verdict = judge.judge(window, window.end)
        assert source.now < NOON + 7200
    if verdict.alarm:
        ratio = observations_of(verdict, stored, window.end)[0]
        assert ratio.value == 1.0
    seen = {each.metric for each in observations_of(verdict, stored, window.end)}
    assert {"drift.ratio", "drift.joint_ratio", "drift.classes_ratio", "drift.brightness_ratio"} <= seen


def test_what_cannot_be_judged_says_why_and_tells_the_rules_nothing(stored):
    judge, source = DriftJudge(stored.reference), Source(start=NOON + 3600)
    window, _ = source.window(samples=0)
    verdict = judge.judge(window, window.end)
    assert observations_of(verdict, stored, window.end) == []
    fields = fields_of(verdict, "abc")
    assert fields["drift_state"] == "silent"
    assert "0 usable frames" in fields["drift_reason"]
    assert "drift_ratio" not in fields


def test_an_alarm_in_a_pause_says_why_it_is_on_and_until_when(stored):
    away = replace(verdicts(stored)[-1], alarm=True, alarm_since=NOON, pause_ends=NOON + 30 * 3600.0)
    said = sentence(away, stored)
    assert "of the limit, as it comes and goes with the hours; over if it stays away until " in said
    assert f"{datetime.fromtimestamp(NOON + 30 * 3600.0, timezone.utc):%Y-%m-%dT%H:%MZ}" in said
    assert "hours" not in sentence(replace(away, pause_ends=None), stored)
    assert "it is no alarm" not in sentence(replace(away, familiar=True), stored)


def test_where_nothing_stands_out_something_is_still_named(stored):
    assert len(named(verdicts(stored)[-1])) >= 1


@pytest.mark.parametrize(
    ("aspect", "words"),
    [
        (
            "location",
            "drift of sharpness, a large change (6.4 sigma): sharpness 30/35/41 instead of 180/210/250",
        ),
        ("spread", "sharpness in spread 30/35/41"),
        ("noise", "sharpness from frame to frame 30/35/41"),
        ("shape", "sharpness in shape 30/35/41"),
    ],
)
def test_each_aspect_has_its_words(stored, aspect, words):
    named_alone = verdict(features=(feature(aspect=aspect),), classes=None)
    assert words in sentence(named_alone, stored)


def test_features_that_move_together_are_named_with_how_they_were(stored):
    pair = PairVerdict(
        first="brightness", second="noise_level", correlation=0.91, usual=0.05, ratio=1.4, minutes=64.0
    )
    calm = verdict(features=(feature(ratio=0.4),), classes=None, pair=pair, ratio=1.4)
    words = "correlation of brightness and noise level 0.91 instead of 0.05 over 64 min"
    assert sentence(calm, stored).startswith(
        "drift of correlation of brightness and noise level, 1.4 times the limit"
    )
    assert sentence(calm, stored).count(words) == 1
    assert "sharpness" not in sentence(calm, stored)
    assert f"{words}: 1.4 times its limit" in explanation(calm, stored)
    assert evidence_of(calm, "abc")["pair"]["features"] == ["brightness", "noise_level"]
    both = verdict(features=(feature(ratio=1.2),), classes=None, pair=pair, ratio=1.4)
    assert "noise level and sharpness" in sentence(both, stored)


def test_the_explanation_begins_with_the_alerts_sentence_and_gives_the_numbers(stored):
    found = verdict()
    lines = explanation(found, stored).split("\n  ")
    assert lines == [
        sentence(found, stored),
        "sharpness: score 8.1 (limit 5.4) over 16 min; KS 0.41 (limit 0.12), PSI 0.90 (limit 0.31), "
        "Jensen-Shannon 0.35 (limit 0.20), Wasserstein 0.30 (too little reference for a limit) over 16 min",
        "class mix: Jensen-Shannon 0.30 (limit 0.20), PSI 0.40 (limit 0.20) over 30 s",
        "all features together: score 3.0 (limit 6.0) over 3 h",
    ]
    assert lines[0].startswith(
        "drift of sharpness and class mix, a large change (6.4 sigma): sharpness 30/35/41 instead of"
    )
    assert lines[0].endswith("compared with 23-00 h UTC")


def test_a_limit_that_no_distance_reaches_is_not_called_one(stored):
    text = explanation(
        verdict(features=(feature(distances={**FELL.distances, "ks": Measured(0.412, 1.7)}),)), stored
    )
    assert "KS 0.41 (too little reference for a limit), PSI" in text


def test_no_drift_and_what_was_not_judged(stored):
    assert explanation(verdict(alarm=False), stored).startswith("change of ")
    assert explanation(verdict(judged=False, reason="no frames"), stored) == "not judged: no frames"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"now": (1.0, 2.0, 3.0), "then": (99.9, 100.0, 100.1)}, "an extreme change (99 sigma)"),
        ({"now": (90.0, 200.0, 260.0)}, "a small change that lasts (0.37 sigma)"),
        ({"then": (5.0, 5.0, 5.0)}, "an extreme change (99 sigma)"),
        ({"aspect": "spread", "shift": 0.8}, "scatter 2.2 times the usual"),
        ({"aspect": "noise", "shift": -0.7}, "steps from frame to frame 0.5 times the usual"),
    ],
)
def test_how_unusual_it_is_stands_in_words_and_in_the_cameras_own_scatter(stored, changes, words):
    alone = verdict(features=(feature(ratio=1.1, **changes),), classes=None, ratio=1.1)
    assert sentence(alone, stored).startswith(f"drift of sharpness, {words}: ")


def test_features_with_a_meaning_are_named_before_projections_of_the_embedding(stored):
    features = (*(feature(feature=f"embedding_{n}", ratio=9.0 - n) for n in range(4)), FELL)
    found = verdict(features=features, classes=None, ratio=9.0)
    assert [each.feature for each in named(found)][:2] == ["sharpness", "embedding_0"]
    assert sentence(found, stored).startswith("drift of sharpness, embedding 0")
    assert fields_of(found, "abc")["drift_feature"] == "sharpness"
    assert next(iter(evidence_of(found, "abc")["features"])) == "sharpness"


def test_limits_that_no_distance_reaches_are_in_no_evidence(stored):
    far = {"ks": Measured(0.4, 1.92), "psi": Measured(0.9, 37.6)}
    found = verdict(features=(feature(distances={**FELL.distances, **far}),))
    numbers = evidence_of(found, "abc")["features"]["sharpness"]
    assert not {"ks_limit", "psi_limit"} & set(numbers)
    assert not {"drift_ks_limit", "drift_psi_limit"} & set(fields_of(found, "abc"))
    assert "37.6" not in explanation(found, stored)
    assert "1.92" not in explanation(found, stored)


def test_what_only_adds_up_is_as_large_as_it_is(stored):
    together = verdict(
        features=(feature(ratio=0.8), feature(feature="noise", ratio=0.7)), classes=None, ratio=1.02
    )
    assert sentence(together, stored).startswith("drift of sharpness and noise, a large change (6.4 sigma): ")
