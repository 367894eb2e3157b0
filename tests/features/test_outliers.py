from __future__ import annotations

import numpy as np

from agent.features.outliers import judge_frame

LOW, HIGH = np.zeros(6, np.float32), np.ones(6, np.float32)
NAN = float("nan")


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_inside_is_no_outlier():
    verdict = judge_frame(vector(0, 0.5, 1, 0, 1, 0.2), LOW, HIGH, distance=1, limit=3)
    assert (verdict.outlier, verdict.far, verdict.beyond) == (False, False, ())


def test_several_features_beyond_make_one():
    assert not judge_frame(vector(-1, 2, 1, 0, 1, 0), LOW, HIGH).outlier
    verdict = judge_frame(vector(-1, 2, 1, 0, 7, 0), LOW, HIGH)
    assert verdict.outlier
    assert verdict.beyond == (0, 1, 4)
    assert judge_frame(vector(-1, 0, 0, 0, 0, 0), LOW, HIGH, least=1).outlier


def test_a_far_embedding_makes_one_alone():
    verdict = judge_frame(vector(0, 0, 0, 0, 0, 0), LOW, HIGH, distance=3.1, limit=3)
    assert verdict.outlier
    assert verdict.far


def test_what_is_unknown_accuses_nobody():
    unknown = np.full(6, np.nan, np.float32)
    assert not judge_frame(unknown, LOW, HIGH, distance=NAN, limit=3).outlier
    assert not judge_frame(vector(9, 9, 9, 9, 9, 9), unknown, unknown, distance=9, limit=NAN).outlier
