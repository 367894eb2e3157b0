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
    picture = cause_picture(THEN, NOW, cause, 0.8)
    then, now = round(160 * HEIGHT / 90), round(240 * HEIGHT / 180)
    assert picture.shape[1] == 2 * then + now + 8
    below = picture[-HEIGHT:]
    assert (below[:, then + 4 : then + 4 + now] == 200).all()
    assert (below[:, :then] != below[:, -then:]).any()


def test_what_changes_no_image_has_two():
    assert cause_picture(THEN, THEN, "population", 0.5).shape[1] == 2 * round(160 * HEIGHT / 90) + 4
