import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.drift.recording import Recording
from agent.drift.reference import build, from_images

RNG = np.random.default_rng(12)
NAMES = ("brightness", "boxes")
WHERE = {"camera": "front", "model_sha256": "ab" * 32, "feature_version": "1", "now": 1e9}


def images(count=200, **changes):
    vectors = np.column_stack([RNG.normal(100, 10, count), RNG.integers(0, 5, count)]).astype(np.float32)
    settings = {"features": NAMES, "window_seconds": 60.0, "window_frames": 120.0}
    return from_images(vectors, {0: 3 * count, 2: count}, **WHERE | settings | changes)


def test_a_day_makes_a_reference_that_is_not_provisional(day_reference):
    assert not day_reference.provisional
    assert sorted(day_reference.hours) == list(range(24))
    assert day_reference.origin.made_how == "recording"
    assert day_reference.class_ids == (0, 2)


def test_days_with_gaps_make_one_too(camera):
    source = camera(6)
    recording = Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    for _ in range(40):
        for window in source.windows(8):
            recording.add(window)
        source.now += 52 * 60.0
    reference = build(recording, **WHERE)
    assert reference.provisional  # five hours in all
    assert reference.calibration.blocks == 40
    assert reference.calibration.longest == 80


def test_two_hours_make_a_provisional_one(short_reference):
    assert short_reference.provisional
    assert short_reference.calibration.blocks == 0


def test_an_empty_recording_makes_none():
    with pytest.raises(ReferenceMismatch, match="nothing was recorded of camera 'front'"):
        build(Recording(NAMES), **WHERE)


def test_an_empty_folder_makes_none():
    with pytest.raises(ReferenceMismatch, match="no images"):
        from_images(
            np.empty((0, 2), np.float32),
            {},
            features=NAMES,
            window_seconds=60.0,
            window_frames=120.0,
            **WHERE,
        )


def test_images_make_one_that_serves_all_hours():
    reference = images()
    assert reference.provisional
    assert reference.any_hour
    assert reference.usual_boxes == pytest.approx(480.0)
    assert reference.contexts().at(3 * 3600.0).distance >= 0


def test_one_window_is_enough_for_a_provisional_reference(camera):
    recording = Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    for window in camera(5).windows(1):
        recording.add(window)
    assert build(recording, **WHERE).provisional


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"model_sha256": "cd" * 32}, "another model .abababababab, now cdcdcdcdcdcd"),
        ({"feature_version": "2"}, "another version of the features .1, now 2"),
        ({"features": ("brightness",)}, "another list of features"),
        ({"window_seconds": 30.0}, "windows of 60 s, now they are 30 s"),
    ],
)
def test_it_refuses_what_it_was_not_made_for(other, named):
    reference = images()
    same = {"model_sha256": "ab" * 32, "feature_version": "1", "features": NAMES, "window_seconds": 60.0}
    reference.check(**same)
    reference.check(**same | {"window_seconds": 61.0})
    with pytest.raises(ReferenceMismatch, match=named) as refused:
        reference.check(**same | other)
    assert "record a new one" in str(refused.value)


def test_the_id_changes_with_the_content():
    first, second = images(), images()
    assert first.id == first.id
    assert first.id != second.id
    assert len(first.id) == 12


def test_a_feature_over_the_whole_day(day_reference):
    whole = day_reference.whole("brightness")
    assert whole.quantiles([0.1, 0.5, 0.9]) == pytest.approx([87.2, 100, 112.8], abs=2)
