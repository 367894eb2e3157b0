import numpy as np
import pytest

from agent.core.kll import Sketch
from agent.drift.nearest import Elapsed, weigh_nearest
from agent.drift.recording import KEPT_ITEMS, Recording, _others, contexts_of, gather, hold_out, kept, tally
from agent.drift.reference import build
from agent.drift.sketch import Window


def test_a_window_without_frames_is_passed_over(camera):
    source = camera(3)
    recording = Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    empty = Window("front", recording.features, "1").close(0.0, 60.0)
    recording.add(empty)
    for window in source.windows(5):
        recording.add(window)
    recording.add(empty)
    assert len(recording.starts) == 5
    assert recording.covered == 300.0


def test_hours_are_blocks(day_recording):
    assert len(day_recording.blocks) == 26
    assert all(block.seconds == 3600.0 for block in day_recording.blocks.values())


def test_the_extremes_are_kept_though_few_values_are():
    sketch = Sketch()
    sketch.update(np.arange(5000, dtype=np.float32))
    values, weights = kept(sketch)
    assert values.size <= KEPT_ITEMS + 2
    assert (values[0], values[-1]) == (0.0, 4999.0)
    assert weights.sum() == pytest.approx(5000, rel=1 / KEPT_ITEMS)
    assert kept(Sketch())[0].size == 0


def test_unknown_classes_are_counted_together():
    assert tally({0: 3, 9: 2, 7: 1}, (0, 2)).tolist() == [3.0, 0.0, 3.0]


def test_a_block_is_compared_with_others_that_are_not_its_neighbours(day_recording):
    gathered = gather(day_recording)
    first = min(gathered.samples)
    assert _others(gathered, first) == [first + 2, first + 22, first + 23, first + 24] or all(
        abs(each - first) > 1 for each in _others(gathered, first)
    )


def test_held_out_windows_look_normal(day_recording):
    gathered = gather(day_recording)
    held = hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread)
    assert held.aspects.shape == (26 * 60, 3, 5)
    assert np.abs(held.aspects[:, 0].mean(axis=0)).max() < 0.1
    assert held.seen.sum(axis=1) == pytest.approx(np.ones(len(held.seen)))
    assert (held.gaps == 1.0).all()


def test_a_gap_in_the_recording_is_known(camera):
    source = camera(4)
    recording = Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    for window in source.windows(3):
        recording.add(window)
    source.now += 600.0
    for window in source.windows(2):
        recording.add(window)
    gathered = gather(recording)
    held = hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread, everything=True)
    assert held.gaps.tolist() == [1.0, 1.0, 1.0, 11.0, 1.0]


def test_what_repeats_every_day_is_held_out_as_it_is_judged_later():
    """A still scene shows the same sixty values each minute: limits must not be learnt from a finer normal."""
    recording, still = Recording(("still",)), np.random.default_rng(5).standard_normal((60, 1))
    for hour in range(8 * 24):
        for minute in (0.0, 20.0, 40.0):
            window = Window("front", recording.features, "1", interval=1.0)
            start = 3600.0 * hour + 60.0 * minute
            window.extend(still.astype(np.float32), at=start + np.arange(60.0))
            recording.add(window.close(start, start + 60.0))
    made = build(recording, camera="front", model_sha256="0", feature_version="1", now=8 * 86400.0)
    gathered = gather(recording)
    held = hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread)
    noon = 12 * 3600.0 + 60.0
    [fit] = weigh_nearest(gathered.looks[:1], made.contexts(), noon, gathered.usual, Elapsed())
    assert held.aspects[held.hours == 12] == pytest.approx(fit.evidence.aspects.repeat(24, axis=0), abs=0.02)


def test_two_recordings_joined_are_one(camera):
    """The first ends within an hour that the second goes on with."""
    source, names = camera(4), ("brightness", "sharpness", "boxes", "confidence", "constant")
    whole, first, second = (Recording(names) for _ in range(3))
    for number, window in enumerate(source.windows(150)):
        whole.add(window)
        (first if number < 70 else second).add(window)
    first.join(second)
    assert (first.starts, first.seconds, first.classes) == (whole.starts, whole.seconds, whole.classes)
    assert first.covered == whole.covered
    assert list(first.blocks) == list(whole.blocks)
    for number, block in whole.blocks.items():
        joined = first.blocks[number]
        assert (joined.classes, joined.seconds) == (block.classes, block.seconds)
        assert [each.count for each in joined.sketches] == [each.count for each in block.sketches]
