"""A reference for another model keeps what is known of the frames, by the hour, and has the rest of a few frames."""

import numpy as np
import pytest

from agent.drift.carry import carry
from agent.drift.judge import DriftJudge
from agent.features import FEATURES, OF_THE_MODEL
from tests.references.conftest import Source, recorded

MODEL = "b" * 64


@pytest.fixture(scope="module")
def source():
    return Source()


@pytest.fixture(scope="module")
def base(source):
    return recorded(windows=130, source=source).make(source.now, final=True).reference


@pytest.fixture(scope="module")
def carried(source, base):
    frames = np.stack([source.window()[1][0] for _ in range(24)])
    frames[:, FEATURES.index("boxes_per_frame")] += 20.0  # the new model finds more
    return carry(base, frames, {0: 48, 6: 12}, model_sha256=MODEL, now=source.now)


def test_the_frames_own_numbers_stay_by_the_hour_and_the_models_are_new(base, carried):
    assert carried.provisional and carried.origin.model_sha256 == MODEL and carried.id != base.id
    assert carried.hours.keys() == base.hours.keys() and len(base.hours) > 1
    for hour, normal in carried.hours.items():
        for name, new, old in zip(FEATURES, normal.sketches, base.hours[hour].sketches, strict=True):
            assert (new is old) == (name not in OF_THE_MODEL), name
    assert carried.class_ids == (0, 6)
    assert {"brightness", "motion"}.isdisjoint(OF_THE_MODEL) and {"box_x", "embedding_0"} <= OF_THE_MODEL


@pytest.mark.parametrize(
    ("shift", "drifts"),
    [({"boxes_per_frame": 10.0}, False), ({"boxes_per_frame": 15.0}, True), ({"boxes_per_frame": 10.0, "noise": 6.0}, True)],
)  # fmt: skip
def test_what_the_new_model_finds_usually_is_normal_and_a_large_change_is_drift(carried, shift, drifts):
    live = Source(start=carried.origin.end, seed=8)
    judge = DriftJudge(carried, 1.0, utc_offset=lambda at: 0.0)
    verdicts = [judge.judge(live.window(**shift)[0], live.now) for _ in range(30)]
    assert any(one.alarm for one in verdicts) == drifts
    assert all(one.provisional for one in verdicts)
