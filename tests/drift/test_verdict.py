import pytest

from agent.drift.verdict import ClassVerdict, DriftVerdict, FeatureVerdict, hour_words

FELL = FeatureVerdict(
    feature="sharpness",
    aspect="location",
    score=-8.13,
    limit=5.41,
    ratio=1.503,
    minutes=16.0,
    shift=-2.0,
    ks=0.412,
    ks_limit=0.121,
    psi=0.9,
    psi_limit=0.31,
    distance_minutes=16.0,
    now=(30.0, 35.0, 41.0),
    then=(180.0, 210.0, 250.0),
)


def feature(**changes):
    return FeatureVerdict(**{name: getattr(FELL, name) for name in FeatureVerdict.__slots__} | changes)


def verdict(**changes):
    usual = {
        "camera": "front",
        "start": 0.0,
        "end": 60.0,
        "judged": True,
        "reason": "",
        "provisional": False,
        "ratio": 1.5,
        "joint": 3.0,
        "joint_limit": 6.0,
        "joint_minutes": 180.0,
        "hour": 23,
        "features": (feature(feature="quiet", ratio=0.1), FELL),
        "classes": ClassVerdict(distance=0.3, limit=0.2, ratio=1.5, psi=0.4, psi_limit=0.2, minutes=0.5),
        "alarm": True,
        "alarm_since": 60.0,
    }
    return DriftVerdict(**usual | changes)


def test_a_feature_says_what_happened_by_how_much_over_what_time_against_what_hour():
    assert FELL.words(14) == (
        "sharpness: it fell from 210 (p50) to 35, score 8.1, limit 5.4, over the last 16 min; "
        "KS 0.41, limit 0.12, PSI 0.90, limit 0.31, over the last 16 min; compared with 14-15 h UTC"
    )
    assert FELL.over


@pytest.mark.parametrize(
    ("aspect", "score", "words"),
    [
        ("location", 3.0, "it rose from"),
        ("spread", 3.0, "it varies more, p10/p50/p90 30/35/41, normally 180/210/250"),
        ("spread", -3.0, "it varies less"),
        ("noise", 3.0, "it jumps more from frame to frame"),
        ("noise", -3.0, "it is smoother from frame to frame"),
        ("shape", 3.0, "its distribution changed"),
    ],
)
def test_each_aspect_has_its_words(aspect, score, words):
    assert words in feature(aspect=aspect, score=score).words()


def test_the_whole_verdict_names_what_stands_out_and_leaves_out_the_rest():
    text = verdict().words()
    assert text.startswith(
        "drift: 1.50 times the limit, compared with 23-00 h UTC; all features together 3.0"
    )
    assert "over the last 3 h" in text
    assert "sharpness" in text
    assert "quiet" not in text
    assert "class mix: Jensen-Shannon 0.30 (limit 0.20), PSI 0.40 (limit 0.20) over 30 s" in text


def test_a_limit_that_no_distance_reaches_is_not_called_one():
    assert "KS 0.41, too little reference for a limit, PSI" in feature(ks_limit=1.7).words()


def test_no_drift_is_said_too_and_what_is_provisional():
    text = verdict(alarm=False, provisional=True, reason="the reference covers 2.0 h", classes=None).words()
    assert text.startswith("no drift")
    assert "(provisional: the reference covers 2.0 h)" in text


def test_a_window_that_was_not_judged_says_why():
    assert verdict(judged=False, reason="no frames").words() == "not judged: no frames"


def test_features_are_found_by_name_and_by_strength():
    found = verdict()
    assert found.feature("sharpness") is FELL
    assert found.strongest(1) == (FELL,)
    assert found.joint_ratio == 0.5
    assert verdict(joint_limit=0.0).joint_ratio == 0.0
    with pytest.raises(KeyError):
        found.feature("none")


def test_hours_go_round():
    assert hour_words(23) == "23-00 h UTC"
