"""A camera's scope: which detections count by their place, and that what is left out of a frame changes no judgement."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.cameras.health.features import small_image
from agent.cameras.stamping import stamped
from agent.core.scope import WHOLE, Scope
from agent.core.types import Frame
from agent.detection.motion_gate import MotionGate
from agent.features.extract import extract
from tests.core.test_polygon import parsed, stars, touched
from tests.features.conftest import seen

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
TOP = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
SIZE = (200, 100)


def counted(scope, *boxes):
    return scope.counted(np.array(boxes, np.float32).reshape(-1, 4), SIZE).tolist()


def test_a_detection_is_where_its_box_stands():
    left, across, right = (10, 10, 90, 60), (80, 10, 110, 60), (92, 10, 112, 60)
    assert counted(Scope(included=(LEFT,)), left, across, right) == [True, True, False]
    assert counted(Scope(excluded=(LEFT,)), left, across, right) == [False, False, True]
    head_only = (10, 20, 30, 60)
    assert counted(Scope(included=(TOP,)), head_only) == [False], "its feet are below"


def test_on_a_zones_outline_and_beyond_the_frame_is_inside():
    assert counted(Scope(included=(LEFT,)), (90, 0, 110, 50)) == [True]
    assert counted(Scope(excluded=(LEFT,)), (90, 0, 110, 50)) == [False]
    assert counted(Scope(included=(LEFT,)), (-30, 50, 10, 130), (150, 50, 190, 130)) == [True, False]


def test_zones_add_up_and_an_excluded_one_goes_before_an_included_one():
    scope = Scope(included=(LEFT, TOP), excluded=(((0.0, 0.0), (0.25, 0.0), (0.25, 0.25), (0.0, 0.25)),))
    assert counted(scope, (10, 0, 30, 90), (150, 0, 170, 40), (150, 0, 170, 90), (10, 0, 30, 20)) == [
        True, True, False, False,
    ]  # fmt: skip
    assert counted(WHOLE, (0, 0, 5, 5)) == [True]
    assert counted(Scope(included=(LEFT,))) == []


# -- what is left out changes nothing --------------------------------------------------------------------------


def features(image, scope):
    _, before = extract(np.full_like(image, 90), seen(), None, scope)
    return extract(image, seen(), before, scope)[0]


def health(image, scope):
    small = small_image(image, scope)
    return np.concatenate([small.grey.ravel(), small.raw.ravel()])


def passes(image, scope):
    """Whether the motion gate lets it pass after a plain frame."""
    gate = MotionGate()
    for index, one in enumerate((np.full_like(image, 90), image)):
        frame = stamped("a", index, one)
        passed = gate.passes(
            Frame(camera="a", index=index, image=one, captured_at=0.0, monotonic_ns=frame.index, scope=scope),
            9.0,
        )
    return passed


@pytest.mark.parametrize("judged", [features, health, passes])
@settings(max_examples=12, deadline=None)
@given(
    st.lists(stars(), min_size=1, max_size=2),
    st.sampled_from([(333, 217), (161, 91), (64, 48), (20, 150)]),
    st.integers(0, 9),
)
def test_nothing_that_is_judged_depends_on_what_is_ignored(judged, values, size, seed):
    polygons = tuple(filter(None, map(parsed, values)))
    assume(polygons)
    width, height = size
    random = np.random.default_rng(seed)
    image = random.integers(60, 190, (height, width, 3), dtype=np.uint8)
    other = image.copy()
    for polygon in polygons:
        hidden = touched(polygon, width, height, 1)
        other[hidden] = random.integers(0, 256, (int(hidden.sum()), 3), dtype=np.uint8)
    scope = Scope(ignored=polygons)
    assert np.array_equal(judged(image, scope), judged(other, scope), equal_nan=judged is features)


def test_what_is_not_ignored_is_judged_as_if_the_rest_were_not_there():
    image = np.full((360, 640, 3), 200, np.uint8)
    image[:, :320] = 10
    scope = Scope(ignored=(((0.0, 0.0), (0.52, 0.0), (0.52, 1.0), (0.0, 1.0)),))
    vector = features(image, scope)
    assert np.allclose(vector, features(np.full_like(image, 200), WHOLE), equal_nan=True)
    assert not passes(np.where(image > 100, np.uint8(90), np.uint8(255)), scope)
    assert passes(
        np.where(image > 100, np.uint8(250), np.uint8(90)),
        Scope(ignored=(((0.0, 0.0), (0.3, 0.0), (0.3, 1.0)),)),
    )


@pytest.mark.parametrize("judged", [features, health, passes])
def test_a_frame_of_which_all_is_ignored_is_no_error(judged):
    judged(
        np.full((90, 160, 3), 50, np.uint8),
        Scope(ignored=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)),
    )
