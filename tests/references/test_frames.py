import dataclasses

import numpy as np

from agent.references.frames import FrameJudge
from tests.references.conftest import NOON, Source, recorded


def test_normal_frames_are_no_outliers_and_strange_ones_are(stored):
    judge, source = FrameJudge(stored), Source(start=NOON + 3600, seed=11)
    for vector in source.window(samples=300)[1]:
        judge.see(vector, source.embeddings(1)[0])
    seen, outliers, _ = judge.take()
    assert seen == 300
    assert outliers == 0
    for vector in source.window(samples=50, brightness=9, contrast=9, noise=-9)[1]:
        judge.see(vector, None)
    seen, outliers, reasons = judge.take()
    assert (seen, outliers) == (50, 50)
    assert set(reasons) == {"brightness", "contrast", "noise"}
    assert judge.take() == (0, 0, [])


def test_an_embedding_from_elsewhere_is_enough(stored):
    judge, source = FrameJudge(stored), Source(seed=5)
    vector = source.window()[1][0]
    judge.see(vector, np.where(np.arange(64) % 2, 4.0, -4.0).astype(np.float32))
    assert judge.take() == (1, 1, ["embedding"])


def test_undefined_numbers_are_never_outliers(stored):
    judge = FrameJudge(stored)
    judge.see(np.full(len(stored.low), np.nan, dtype=np.float32), np.full(64, np.nan, dtype=np.float32))
    nothing_known = dataclasses.replace(stored, low=stored.low * np.nan, high=stored.high * np.nan)
    blind = FrameJudge(nothing_known)
    blind.see(np.full(len(stored.low), 1e9, dtype=np.float32), None)
    assert judge.take()[1] == blind.take()[1] == 0


def test_a_short_reference_is_given_more_room():
    made = recorded(windows=12).make(NOON, final=True)
    assert made.reference.provisional
    width = made.high - made.low
    vector = (made.high + 0.3 * width).astype(np.float32)
    judge = FrameJudge(made)
    judge.see(vector, None)
    assert judge.take()[1] == 0
