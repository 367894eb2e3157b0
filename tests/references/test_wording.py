import json

from agent.drift.judge import DriftJudge
from agent.references.wording import evidence_of, fields_of, named, observations_of, sentence
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


def test_where_nothing_stands_out_something_is_still_named(stored):
    assert len(named(verdicts(stored)[-1])) >= 1
