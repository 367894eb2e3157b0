"""The motion gate: what moves passes, what stands still does not, and a still scene is looked at all the same."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import Frame
from agent.detection.motion_gate import MotionGate, cells, moved

SECOND = 10**9


def scene(x=None, *, light=0, noise=0.0, seed=0, shape=(360, 640)):
    """A grey wall with detail, and a person (20 x 50 pixels) at `x`."""
    random = np.random.default_rng(7)
    image = cv2.resize(random.integers(60, 190, (9, 16, 3)).astype(np.uint8), shape[::-1])
    if x is not None:
        image[shape[0] // 2 : shape[0] // 2 + 50, x : x + 20] = (40, 40, 160)
    grain = np.random.default_rng(seed).normal(0, noise, image.shape) if noise else 0
    return np.clip(image.astype(float) + grain + light, 0, 255).astype(np.uint8)


def frame(image, seconds, camera="a"):
    return Frame(camera=camera, index=0, image=image, captured_at=0.0, monotonic_ns=int(seconds * SECOND))


def test_a_still_scene_passes_once_an_interval_and_grain_and_light_are_no_motion():
    gate = MotionGate()
    passed = [
        gate.passes(frame(scene(light=number // 5, noise=6, seed=number), number / 10), 1.0)
        for number in range(31)
    ]
    assert [number for number, good in enumerate(passed) if good] == [0, 10, 20, 30]


def test_somebody_who_walks_by_passes_on_every_frame():
    gate = MotionGate()
    assert gate.passes(frame(scene(noise=4), 0), 10.0)
    for number in range(1, 20):
        assert gate.passes(frame(scene(30 * number, noise=4, seed=number), number / 10), 10.0)
    assert gate.passes(frame(scene(noise=4, seed=99), 2.0), 10.0)  # gone: that is news too
    assert not gate.passes(frame(scene(noise=4, seed=98), 2.1), 10.0)


def test_what_creeps_is_seen_once_it_has_come_far_enough():
    gate, passed = MotionGate(), []
    for number in range(60):  # a grey level a frame: never much from one frame to the next
        image = scene()
        image[100:160, 200:240] = 100 + number
        passed.append(gate.passes(frame(image, number / 10), 1e6))
    assert 4 <= sum(passed[1:]) <= 6


def test_zero_lets_every_frame_pass():
    gate = MotionGate()
    assert all(gate.passes(frame(scene(), number), 0.0) for number in range(5))


def test_another_size_another_camera_and_a_clock_that_went_back_pass():
    gate = MotionGate()
    assert gate.passes(frame(scene(), 5), 10)
    assert not gate.passes(frame(scene(), 6), 10)
    assert gate.passes(frame(scene(), 6, camera="b"), 10)
    assert gate.passes(frame(scene(shape=(180, 320)), 7), 10)
    assert gate.passes(frame(scene(shape=(180, 320)), 1), 10)


def test_a_camera_that_was_forgotten_begins_anew():
    gate = MotionGate()
    assert gate.passes(frame(scene(), 0), 10)
    gate.remove("a")
    gate.remove("never seen")
    assert gate.passes(frame(scene(), 1), 10)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (54, 96), (2160, 3840)])
def test_any_size_of_picture_will_do(shape):
    image = np.full((*shape, 3), 128, np.uint8)
    assert cells(image).shape == (54, 96)
    assert not moved(cells(image), cells(image))


@given(st.integers(-60, 60))
def test_light_that_changes_everywhere_alike_is_no_motion(light):
    assert not moved(cells(scene()), cells(scene(light=light)))
