"""Privacy masks: no pixel under one is left in any frame that leaves a camera's reader, whatever the frame is."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cameras.health.inspector import Inspector
from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.kinds.images import ImagesCamera, ImagesOptions
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.cameras.privacy import PrivacyMasks
from agent.cameras.stamping import stamped
from agent.core.errors import CameraError
from agent.core.types import CameraState
from tests.cameras.kinds.test_stream import by_ffmpeg
from tests.contracts.test_cameras import each_working, source  # noqa: F401  (a fixture)
from tests.core.test_polygon import parsed, stars, touched

CORNER = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def frame(width=64, height=48, level=255):
    return stamped("front", 0, np.full((height, width, 3), level, np.uint8))


@settings(max_examples=80, deadline=None)
@given(st.lists(stars(), min_size=1, max_size=3), st.integers(1, 60), st.integers(1, 40))
def test_every_pixel_that_a_mask_touches_is_black_and_those_far_away_are_as_they_were(values, width, height):
    polygons = tuple(filter(None, map(parsed, values)))
    masked = PrivacyMasks(polygons).apply(frame(width, height))
    hidden = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        hidden |= touched(polygon, width, height)
    assert masked.image.shape == (height, width, 3)
    assert not masked.image[hidden].any()
    assert not polygons or not masked.image.flags.writeable
    assert set(np.unique(masked.image)) <= {0, 255}


def test_masks_that_overlap_are_black_where_they_do():
    assert not PrivacyMasks((WHOLE, CORNER, CORNER)).apply(frame()).image.any()


def test_without_masks_a_frame_is_passed_on_as_it_is():
    one = frame()
    assert PrivacyMasks(()).apply(one) is one
    assert one.image.all()


def test_the_first_frame_of_another_size_is_masked_in_its_own():
    masks = PrivacyMasks((CORNER,))
    for width, height in ((64, 48), (48, 64), (1920, 1080), (3, 3), (1, 1), (64, 48)):
        image = masks.apply(frame(width, height)).image
        assert not image[: (height + 1) // 2, : (width + 1) // 2].any(), (width, height)
        assert (width, height) in ((3, 3), (1, 1)) or image[-1, -1].all()


def test_memory_of_another_is_not_written_to():
    theirs = bytes([255]) * (48 * 64 * 3)
    image = (
        PrivacyMasks((WHOLE,))
        .apply(stamped("a", 0, np.frombuffer(theirs, np.uint8).reshape(48, 64, 3)))
        .image
    )
    assert not image.any()
    assert set(theirs) == {255}


@pytest.mark.parametrize(
    "turn", [lambda image: image[..., ::-1], lambda image: image[::-1], lambda image: image.swapaxes(0, 1)]
)
def test_an_image_in_another_order_of_memory_is_masked(turn):
    image = turn(np.full((48, 64, 3), 255, np.uint8))
    masked = PrivacyMasks((CORNER,)).apply(stamped("a", 0, image)).image
    assert masked.shape == image.shape
    assert not masked[: image.shape[0] // 2, : image.shape[1] // 2].any()
    assert masked[-1, -1].all()


@pytest.mark.parametrize(
    "image",
    [
        np.full((48, 64), 255, np.uint8),
        np.full((48, 64, 4), 255, np.uint8),
        np.full((48, 64, 3), 255, np.uint16),
    ],
)
def test_a_frame_that_cannot_be_masked_goes_nowhere(image):
    with pytest.raises(CameraError, match="no privacy mask can be drawn"):
        PrivacyMasks((CORNER,)).apply(stamped("front", 0, image))


# -- through the reader ------------------------------------------------------------------------------------------


def bright(path, *, count=8, size=(64, 48), codec="libx264", pixels="yuv420p"):
    """A video that is white, but for a black right half of the lower half."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=20)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.gop_size = 100
        for number in range(count):
            image = np.full((size[1], size[0], 3), 255, np.uint8)
            image[size[1] // 2 :, size[0] // 2 :] = 8 * number
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def inspected(monkeypatch):
    """The frames that health was judged by."""
    frames = []
    inspect = Inspector.inspect

    def note(self, frame):
        frames.append(frame)
        return inspect(self, frame)

    monkeypatch.setattr(Inspector, "inspect", note)
    return frames


def played(running, camera, count):
    with running(camera, privacy_masks=(CORNER,)) as run:
        run.until(lambda: len(run.frames) >= count or run.statuses[-1].state is CameraState.DOWN, 60)
        assert len(run.frames) >= count, run.story()
    return run.frames


def hides(frame):
    height, width = frame.image.shape[:2]
    return (
        not frame.image[: height // 2, : width // 2].any()
        and frame.image[: height // 2, width // 2 + 4 :].min() > 200
    )


def test_neither_the_model_nor_health_gets_a_frame_without_its_masks(tmp_path, running, inspected):
    camera = StreamCamera("front", StreamOptions(url=str(bright(tmp_path / "a.mp4")), pace="fast"))
    assert all(map(hides, played(running, camera, 8)))
    assert len(inspected) >= 8
    assert all(map(hides, inspected))


def test_a_file_that_is_shown_rotated_is_masked_as_it_is_shown(tmp_path, running):
    by_ffmpeg(tmp_path / "b.mp4", f"-i {bright(tmp_path / 'a.mp4')} -c copy -metadata:s:v rotate=90")
    camera = StreamCamera("front", StreamOptions(url=str(tmp_path / "b.mp4"), pace="fast"))
    frames = played(running, camera, 8)
    assert frames[0].image.shape == (64, 48, 3)
    assert not any(one.image[:32, :24].any() for one in frames)
    assert all(one.image[-4:, -4:].min() > 200 for one in frames)


def test_frames_that_another_process_decodes_are_masked(tmp_path, running):
    options = StreamOptions(url=str(bright(tmp_path / "a.mp4")), pace="fast")
    assert all(map(hides, played(running, IsolatedCamera("stream", "front", options), 8)))


def test_images_of_changing_sizes_are_masked_from_the_first_frame_of_each(tmp_path, running):
    for number, (width, height) in enumerate([(64, 48), (128, 72), (40, 90), (64, 48)]):
        (tmp_path / f"{number}.ppm").write_bytes(
            f"P6 {width} {height} 255\n".encode() + b"\xff" * (width * height * 3)
        )
    camera = ImagesCamera("front", ImagesOptions(path=str(tmp_path), pace="fast"))
    frames = played(running, camera, 4)
    assert [one.image.shape[:2] for one in frames] == [(48, 64), (72, 128), (90, 40), (48, 64)]
    assert all(map(hides, frames))


def test_a_decoder_that_draws_into_its_last_frame_never_gets_the_mask_in_it(tmp_path):
    """Flash Screen Video decodes to BGR and changes only parts of its last frame, in its own memory."""
    path = bright(tmp_path / "a.flv", size=(256, 192), codec="flashsv", pixels="bgr24")
    camera = StreamCamera("front", StreamOptions(url=str(path), pace="fast"))
    camera.open()
    masks = PrivacyMasks((CORNER,))
    try:
        for _ in range(4):
            before = camera.read()
            assert before.image[:96, :128].min() == 255
            assert not masks.apply(before).image[:96, :128].any()
    finally:
        camera.close()


@each_working
def test_no_kind_hands_out_memory_that_it_uses_again(source):  # noqa: F811  (the fixture)
    """What is drawn into one frame is in no other."""
    masks = PrivacyMasks((WHOLE,))
    source.open()
    for index in range(4):
        frame = source.read()
        assert frame.image.any(), index
        assert not masks.apply(frame).image.any()
