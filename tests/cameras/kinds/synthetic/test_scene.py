"""Drawn scenes: true boxes, things that pass smoothly, a different world for each seed."""

import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.backdrops import LAYOUTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene, daylight
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_lie_in_the_picture_and_hold_what_was_drawn(layout):
    scene = Scene(layout, 4)
    empty = scene._backdrop.astype(int)
    seen = 0
    for t in range(0, 300, 7):
        picture = scene.draw(float(t), 12.0, 0, noise=0.0)
        assert picture.image.shape == (360, 640, 3)
        assert len(picture.boxes) == len(picture.class_ids)
        for left, top, right, bottom in picture.boxes:
            assert 0 <= left < right <= 640
            assert 0 <= top < bottom <= 360
            patch = np.s_[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
            changed = np.abs(picture.image[patch].astype(int) - empty[patch]).max(axis=2) > 25
            assert changed.mean() > 0.1, "a box without a thing in it"
            seen += 1
    assert seen > 30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_things_move_smoothly(layout):
    scene = Scene(layout, 8)
    for t in np.arange(0, 60, 1.3):
        before = {(thing.look.second, thing.look.variant): thing.x for thing in scene.things(float(t))}
        for thing in scene.things(float(t) + 0.1):
            key = (thing.look.second, thing.look.variant)
            assert abs(thing.x - before.get(key, thing.x)) < 64


def test_every_class_turns_up():
    found = set()
    for layout in LAYOUTS:
        for seed in range(3):
            scene = Scene(layout, seed)
            found |= {thing.name for t in range(0, 400, 9) for thing in scene.things(float(t))}
    assert found == set(CLASSES)


def test_a_moment_can_be_drawn_without_those_before_it():
    one, two = Scene("street", 3), Scene("street", 3)
    for t in range(50):
        one.draw(float(t), 12.0, t)
    assert np.array_equal(one.draw(50.0, 12.0, 0).image, two.draw(50.0, 12.0, 0).image)


def test_noon_is_light_and_midnight_dark():
    assert daylight(12) == 1.0
    assert daylight(0) == daylight(24) == 0.0
    assert 0 < daylight(6) < 1
