"""Letterboxing: the same pixels as the plain recipe, whatever the shape, the type and the buffer's past."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.detection.preprocess import BatchBuffer, InputType, plan

SIDES = st.integers(min_value=1, max_value=300)


def plain(image, target, *, stride=32, minimal=False):
    """The recipe as Ultralytics writes it (LetterBox of 8.4), pixels still uint8 BGR."""
    shape = image.shape[:2]
    r = min(target[0] / shape[0], target[1] / shape[1])
    new = max(round(shape[1] * r), 1), max(round(shape[0] * r), 1)
    dw, dh = target[1] - new[0], target[0] - new[1]
    if minimal:
        dw, dh = np.mod(dw, stride), np.mod(dh, stride)
    dw, dh = dw / 2, dh / 2
    if shape[::-1] != new:
        image = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)
    top, bottom, left, right = round(dh - 0.1), round(dh + 0.1), round(dw - 0.1), round(dw + 0.1)
    return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114,) * 3)


def as_model_input(picture, kind):
    rgb = picture[..., ::-1]
    planes = rgb.transpose(2, 0, 1)
    return {
        InputType.FLOAT32: planes.astype(np.float32) / np.float32(255),
        InputType.FLOAT16: (planes.astype(np.float32) / np.float32(255)).astype(np.float16),
        InputType.FLOAT32_BYTES: planes.astype(np.float32),
        InputType.FLOAT16_BYTES: planes.astype(np.float16),
        InputType.UINT8_PLANES: planes,
        InputType.UINT8_PIXELS: rgb,
        InputType.UINT8_BGR: picture,
    }[kind]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, minimal=st.booleans(), kind=st.sampled_from(InputType))
def test_pixels_are_exactly_those_of_the_plain_recipe(height, width, minimal, kind):
    image = noise(height, width)
    box = plan((height, width), (128, 160), stride=32, minimal=minimal)
    buffer = BatchBuffer(kind, box.size, 2)
    buffer.write(1, image, box)
    expected = as_model_input(plain(image, (128, 160), minimal=minimal), kind)
    assert np.array_equal(buffer.array[1], expected)


@pytest.mark.parametrize("kind", InputType)
def test_a_slot_used_before_shows_nothing_of_its_past(kind):
    wide, tall = noise(40, 120, 1), noise(120, 40, 2)
    buffer = BatchBuffer(kind, (96, 96), 1)
    for image in (wide, tall, wide):
        box = plan(image.shape[:2], (96, 96), stride=32, minimal=False)
        buffer.write(0, image, box)
        assert np.array_equal(buffer.array[0], as_model_input(plain(image, (96, 96)), kind))


def test_the_picture_itself_is_left_alone_and_may_be_read_only():
    image = noise(64, 64)
    before = image.copy()
    image.flags.writeable = False
    buffer = BatchBuffer(InputType.FLOAT32, (64, 64), 1)
    buffer.write(0, image, plan((64, 64), (64, 64), stride=32, minimal=False))
    assert np.array_equal(image, before)


def test_a_dynamic_model_gets_the_smallest_rectangle_and_a_static_one_its_own():
    assert plan((432, 768), (640, 640), stride=32, minimal=True).size == (384, 640)
    assert plan((432, 768), (640, 640), stride=32, minimal=False).size == (640, 640)
    assert plan((1080, 810), (640, 640), stride=32, minimal=True).size == (640, 480)


@settings(deadline=None)
@given(height=st.integers(20, 2000), width=st.integers(20, 2000), minimal=st.booleans())
def test_boxes_return_to_where_they_were_in_the_picture(height, width, minimal):
    box = plan((height, width), (640, 640), stride=32, minimal=minimal)
    here = np.array([[width * 0.1, height * 0.2, width * 0.7, height * 0.9]], np.float32)
    scale = np.array([box.content[1] / width, box.content[0] / height] * 2, np.float32)
    offset = np.array([box.offset[1], box.offset[0]] * 2, np.float32)
    assert np.allclose(box.to_source(here * scale + offset), here, atol=width * 1e-4)


def test_boxes_are_clipped_to_the_picture():
    box = plan((100, 200), (64, 64), stride=32, minimal=False)
    wild = np.array([[-50, -50, 500, 500]], np.float32)
    assert box.to_source(wild).tolist() == [[0, 0, 200, 100]]
    assert box.to_source(wild).dtype == np.float32
    assert box.to_source(np.empty((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.filterwarnings("error")
def test_boxes_as_far_out_as_numbers_go_are_clipped_without_a_word():
    box = plan((100, 200), (64, 64), stride=32, minimal=False)
    far = np.float32(3e38)
    assert box.to_source(np.array([[-far, -far, far, far]], np.float32)).tolist() == [[0, 0, 200, 100]]


def test_a_stretched_image_fills_the_input_and_its_boxes_come_back():
    box = plan((100, 400), (320, 320), stride=32, minimal=True, stretched=True)
    assert (box.size, box.content, box.offset) == ((320, 320), (320, 320), (0, 0))
    assert np.allclose(box.to_source(np.array([[80, 80, 160, 320]], np.float32)), [[100, 25, 200, 100]])
