import math

import pytest

from agent.drift.verdict import ClassVerdict, DriftVerdict, FeatureVerdict, Measured

FELL = FeatureVerdict(
    feature="sharpness",
    aspect="location",
    score=-8.13,
    limit=5.41,
    ratio=1.503,
    minutes=16.0,
    shift=-2.0,
    distances={
        "ks": Measured(0.412, 0.121),
        "psi": Measured(0.9, 0.31),
        "jensen_shannon": Measured(0.35, 0.2),
        "wasserstein": Measured(0.3, math.nan),
    },
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
        "familiar": False,
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


def test_features_are_found_by_name_and_by_strength():
    found = verdict()
    assert found.feature("sharpness") is FELL
    assert found.strongest(1) == (FELL,)
    assert FELL.over
    assert found.joint_ratio == 0.5
    assert verdict(joint_limit=0.0).joint_ratio == 0.0
    with pytest.raises(KeyError):
        found.feature("none")
