"""The picture of a cause has the reference, the frame of now, and the reference with the cause applied."""

import numpy as np
import pytest

from agent.drift.diagnosis import CAUSES
from agent.references.cause_picture import HEIGHT, cause_picture

RANDOM = np.random.default_rng(1)
THEN = RANDOM.integers(0, 256, (90, 160, 3), dtype=np.uint8)
NOW = np.full((180, 240, 3), 200, np.uint8)


@pytest.mark.parametrize("cause", CAUSES)
def test_three_frames_stand_beside_one_another(cause):
    picture = cause_picture(THEN, NOW, cause, 0.8, 0)
    then, now = round(160 * HEIGHT / 90), round(240 * HEIGHT / 180)
    assert picture.shape[1] == 2 * then + now + 8
    below = picture[-HEIGHT:]
    assert (below[:, then + 4 : then + 4 + now] == 200).all()
    assert (below[:, :then] != below[:, -then:]).any()


def test_what_changes_no_image_has_two():
    assert cause_picture(THEN, THEN, "population", 0.5, 0).shape[1] == 2 * round(160 * HEIGHT / 90) + 4


def test_the_cause_is_drawn_in_the_way_that_was_seen():
    """A low sun was drawn as a gain, dust as brown spots: then the last two frames looked alike in no camera."""
    for name, cause in CAUSES.items():
        drawn = [cause_picture(THEN, NOW, name, 0.8, variant) for variant in range(cause.variants)]
        assert all((one != drawn[0]).any() for one in drawn[1:]), name
