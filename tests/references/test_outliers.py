import dataclasses

import numpy as np

from agent.drift.verdict import OutlierCount
from agent.references.outliers import OutlierLimits
from agent.references.sampling import SampledFrame
from tests.references.conftest import NOON, Source, recorded


def frame(vector, embedding=None):
    return SampledFrame(vector=vector, embedding=embedding)


def test_normal_frames_are_no_outliers_and_strange_ones_are(stored):
    limits, source = OutlierLimits(stored), Source(start=NOON + 3600, seed=11)
    normal = [frame(vector, source.embeddings(1)[0]) for vector in source.window(samples=300)[1]]
    assert limits.count(normal) == OutlierCount(frames=300, outliers=0, reasons=())
    strange = source.window(samples=50, brightness=9, contrast=9, noise=-9)[1]
    found = limits.count(map(frame, strange))
    assert (found.frames, found.outliers) == (50, 50)
    assert set(found.reasons) == {"brightness", "contrast", "noise"}
    assert limits.count([]) == OutlierCount(frames=0, outliers=0, reasons=())


def test_an_embedding_from_elsewhere_is_enough(stored):
    vector = Source(seed=5).window()[1][0]
    elsewhere = np.where(np.arange(64) % 2, 4.0, -4.0).astype(np.float32)
    found = OutlierLimits(stored).count([frame(vector, elsewhere)])
    assert found == OutlierCount(frames=1, outliers=1, reasons=("embedding",))


def test_undefined_numbers_are_never_outliers(stored):
    undefined = np.full(len(stored.low), np.nan, dtype=np.float32)
    assert OutlierLimits(stored).count([frame(undefined, np.full(64, np.nan, np.float32))]).outliers == 0
    nothing_known = dataclasses.replace(stored, low=stored.low * np.nan, high=stored.high * np.nan)
    far = np.full(len(stored.low), 1e9, dtype=np.float32)
    assert OutlierLimits(nothing_known).count([frame(far)]).outliers == 0


def test_a_short_reference_is_given_more_room():
    made = recorded(windows=12).make(NOON, final=True)
    assert made.reference.provisional
    width = made.high - made.low
    assert OutlierLimits(made).count([frame((made.high + 0.3 * width).astype(np.float32))]).outliers == 0
