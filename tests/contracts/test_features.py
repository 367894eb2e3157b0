"""What every entry of the feature registry must keep, whatever the picture and the boxes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from agent.core.types import Detections
from agent.features import FAMILIES, FEATURE_VERSION, FEATURES, SPECS
from agent.features.extract import extract

RNG = np.random.default_rng(7)
PICTURES = {
    "one pixel": np.full((1, 1, 3), 7, np.uint8),
    "one row": RNG.integers(0, 256, (1, 900, 3), dtype=np.uint8),
    "one column": RNG.integers(0, 256, (3000, 1, 3), dtype=np.uint8),
    "two by two": RNG.integers(0, 256, (2, 2, 3), dtype=np.uint8),
    "black": np.zeros((480, 640, 3), np.uint8),
    "white": np.full((480, 640, 3), 255, np.uint8),
    "grey": np.full((480, 640, 3), 128, np.uint8),
    "blue": np.full((480, 640, 3), (255, 0, 0), np.uint8),
    "noise": RNG.integers(0, 256, (480, 640, 3), dtype=np.uint8),
    "portrait": RNG.integers(0, 256, (1920, 1080, 3), dtype=np.uint8),
    "huge": np.broadcast_to(RNG.integers(0, 256, (1, 7680, 3), dtype=np.uint8), (4320, 7680, 3)).copy(),
    "not contiguous": RNG.integers(0, 256, (480, 1280, 3), dtype=np.uint8)[:, ::2],
}


def detections(
    boxes: list[list[float]], *, candidates: int | None = None, embedding: object = None
) -> Detections:
    return Detections(
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.26, len(boxes), dtype=np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
        threshold=0.25,
        candidates=len(boxes) if candidates is None else candidates,
        embedding=None if embedding is None else np.asarray(embedding, dtype=np.float32),
    )


DETECTIONS = {
    "none": detections([]),
    "none of some candidates": detections([], candidates=9),
    "one": detections([[10, 10, 50, 90]], candidates=5, embedding=RNG.normal(0, 1, 256)),
    "many": detections([[x, x / 2, x + 40, x / 2 + 20] for x in range(300)], candidates=2000),
    "outside and empty": detections([[-50, -50, -10, -10], [5, 5, 5, 5], [9e9, 9e9, 9.1e9, 9.1e9]]),
    "not finite": detections([[np.nan, 0, 1, 1], [0, 0, np.inf, 1]], embedding=[np.nan, 1, 2]),
    "zero embedding": detections([[0, 0, 9, 9]], embedding=np.zeros(64)),
}


@pytest.fixture(params=PICTURES)
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    return PICTURES[request.param]


@pytest.fixture(params=DETECTIONS)
def seen(request: pytest.FixtureRequest) -> Detections:
    return DETECTIONS[request.param]


def frozen(seen: Detections) -> Detections:
    """The same detections in arrays that refuse to be written to."""
    for array in (seen.boxes, seen.scores, seen.class_ids, seen.embedding):
        if array is not None:
            array.flags.writeable = False
    return seen


def test_finite_or_missing_and_float32(picture, seen):
    first, thumbnail = extract(picture, seen, None)
    second, _ = extract(picture, seen, thumbnail)
    for vector in (first, second):
        assert vector.shape == (len(FEATURES),)
        assert vector.dtype == np.float32
        assert not np.isinf(vector).any()


def test_deterministic(picture, seen):
    one, thumbnail = extract(picture, seen, None)
    other, again = extract(picture, seen, None)
    assert np.array_equal(one, other, equal_nan=True)
    assert np.array_equal(thumbnail.grey, again.grey)


def test_the_input_is_read_only_and_untouched(picture, seen):
    image = picture.copy()
    image.flags.writeable = False
    _, thumbnail = extract(image, frozen(seen), None)
    kept = thumbnail.grey.copy()
    extract(image, frozen(seen), thumbnail)
    assert np.array_equal(image, picture)
    assert np.array_equal(thumbnail.grey, kept)
    assert not np.shares_memory(thumbnail.grey, image)


def test_what_needs_boxes_is_missing_without_them():
    vector, _ = extract(PICTURES["noise"], DETECTIONS["none"], None)
    named = dict(zip(FEATURES, vector.tolist(), strict=True))
    assert named["boxes_per_frame"] == 0
    needing = [spec.name for spec in SPECS if "without boxes" in spec.doc.lower()]
    assert {"confidence_mean", "box_size", "box_x"} <= set(needing)
    assert all(np.isnan(named[name]) for name in needing)


def test_every_feature_is_defined_somewhere():
    """No entry may hide behind NaN: on an ordinary pair of frames every feature is a number."""
    seen = detections([[10, 10, 50, 90], [200, 40, 260, 80]], candidates=9, embedding=RNG.normal(0, 1, 256))
    _, thumbnail = extract(PICTURES["noise"], seen, None)
    vector, _ = extract(255 - PICTURES["noise"], seen, thumbnail)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("spec", SPECS, ids=FEATURES)
def test_described(spec):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name)
    assert spec.doc.endswith(".")
    assert spec.unit in {"levels", "levels²", "ratio", "bits", "ln", "count", ""}


def test_names_are_unique_and_families_give_what_they_name():
    assert len(set(FEATURES)) == len(FEATURES)
    assert sum(len(family.features) for family in FAMILIES) == len(FEATURES)


def test_the_version_follows_names_and_order():
    assert re.fullmatch(r"[0-9a-f]{12}", FEATURE_VERSION)
    layout = (
        "brightness contrast sharpness saturation warmth tint noise entropy clipped_dark clipped_bright "
        "motion moving_area boxes_per_frame box_size box_aspect box_x box_y box_spread confidence_mean "
        "confidence_min near_threshold suppressed embedding_0 embedding_1 embedding_2 embedding_3"
    )
    # Whoever changes the layout or a formula changes this line knowingly: recorded references end with it.
    assert (" ".join(FEATURES), FEATURE_VERSION) == (layout, "aa539985ff6f")
