"""Health by content: no false state on real or drawn scenes, and every fault planted in them is seen."""

import dataclasses
import itertools
import subprocess
from functools import cached_property, lru_cache

import av
import cv2
import numpy as np
import pytest

from agent.cameras.health.features import SmallImage, agreement, measure, share_changed, small_image
from agent.cameras.health.inspector import Inspector
from agent.cameras.health.judge import (
    ACCEPT_SECONDS,
    FAULTS,
    SAMPLE_SECONDS,
    HealthState,
    HealthVerdict,
    observe,
    reopened,
)
from agent.cameras.health.stillness import FROZEN_SECONDS
from agent.cameras.health.timing import TimingReport
from agent.cameras.stamping import stamped
from agent.core.types import CameraState

STEADY = TimingReport(None, None, 0)
SLOW, NORMAL = TimingReport(3.0, 12.0, 0), TimingReport(12.0, 12.0, 0)


class Sampled:
    """A real video, decoded once for all its tests: small images of it as often as health samples.

    `whole` are the frames at full size of `[FROM, UNTIL)` seconds; a video that ends goes on from its start.
    """

    FROM, UNTIL = 20.0, 45.0

    def __init__(self, path):
        self.small, self.whole, start = [], [], 0.0
        while start < self.UNTIL:
            for time, image in sampled(path):
                self.small.append((start + time, small_image(image)))
                if self.FROM <= start + time < self.UNTIL:
                    self.whole.append((start + time, image))
            start = self.small[-1][0] + SAMPLE_SECONDS

    @cached_property
    def before(self):
        """The health state at FROM: nothing but the video was seen until then."""
        changes, state = told(timed for timed in self.small if timed[0] < self.FROM)
        assert names(changes) == ["online"]
        return state

    def after(self, start, seconds):
        """Small images of that many seconds from `start` on."""
        return (timed for timed in self.small if start <= timed[0] < start + seconds)


@lru_cache(maxsize=1)  # the tests of one video follow one another, in one process
def video_of(path):
    return Sampled(path)


def sampled(path):
    """(time, frame) of a whole video, as often as health samples; the frames are read-only."""
    last = -1.0
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            if picture.time - last >= SAMPLE_SECONDS - 1e-6:
                last, image = picture.time, picture.to_ndarray(format="bgr24")
                image.flags.writeable = False
                yield last, image


def told(timed, pace=STEADY, state=None):
    """The states over (time, frame or small image) pairs, with the time of each change; and the last health state."""
    state, changes = state or HealthState(), []
    for now, image in timed:
        sample = image if isinstance(image, SmallImage) else small_image(image)
        state, verdict = observe(state, sample, now, pace)
        if not changes or changes[-1][1] != verdict.state:
            changes.append((now, verdict.state, verdict))
    return changes, state


def names(changes):
    return [state.value for _, state, _ in changes]


def moved_by(dx, dy):
    def fault(image):
        height, width = image.shape[:2]
        matrix = np.float32([[1, 0, dx * width], [0, 1, dy * height]])
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)

    return fault


def turned(image):
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 10, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def noisy(image, level, spread):
    """Nothing but sensor noise: drawn once, and every frame has it at another place."""
    grain = _grain(level, spread, image.size)
    return np.roll(grain, int(image.sum()) % image.size).reshape(image.shape)


@lru_cache(maxsize=2)
def _grain(level, spread, size):
    noise = level + spread * np.random.default_rng(1).standard_normal(size, dtype=np.float32)
    return np.clip(noise, 0, 255).astype(np.uint8)


FAULTY = {
    "black": ("black", lambda image: image // 32),
    "no light, but noise": ("black", lambda image: noisy(image, 6, 4)),
    "overexposed": ("overexposed", lambda image: cv2.convertScaleAbs(image, alpha=2.0, beta=120)),
    "covered": ("covered", lambda image: cv2.resize(cv2.resize(image // 4 + 60, (6, 4)), image.shape[1::-1])),
    "covered, with sensor noise": ("covered", lambda image: noisy(image, 90, 3)),
    "out of focus": ("blurred", lambda image: cv2.GaussianBlur(image, (0, 0), image.shape[1] / 150)),
    "shifted aside": ("moved", moved_by(0.1, 0)),
    "shifted down": ("moved", moved_by(0, -0.1)),
    "turned": ("moved", turned),
}


# -- on real videos --------------------------------------------------------------------------------------------


def test_real_videos_show_no_fault(real_video):
    small = video_of(real_video).small
    again = small[-1][0] + SAMPLE_SECONDS
    changes, _ = told(itertools.chain(small, ((again + now, sample) for now, sample in small)))
    assert names(changes) == ["online"]


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_planted_in_a_real_video_is_seen_and_so_is_its_end(real_video, fault):
    (expected, plant), video = FAULTY[fault], video_of(real_video)
    planted = [(now, plant(image)) for now, image in video.whole if now < 34]
    changes, _ = told(itertools.chain(planted, video.after(34, 18)), state=video.before)
    assert names(changes) == ["online", expected, "online"]
    assert changes[1][0] - 20 < 10
    assert changes[2][0] - 34 < 15  # a car may pass just then
    assert changes[1][2].reason
    assert not changes[1][2].usable
    assert changes[2][2].usable


def test_a_freeze_is_seen_and_its_end(real_video):
    video = video_of(real_video)
    held = video.whole[0][1]
    frozen = [(now, held) for now, _ in video.whole]
    changes, state = told(itertools.chain(frozen, video.after(45, 15)), state=video.before)
    assert names(changes) == ["online", "frozen", "online"]
    assert changes[1][0] - 20 == pytest.approx(FROZEN_SECONDS, abs=0.6)
    assert changes[2][0] - 45 < 3
    assert state.stretch.longest < 3  # a freeze teaches no patience


@pytest.mark.parametrize(
    "encoder",
    [
        "libx264 -preset veryfast -b:v 300k -g 25 -tune zerolatency",
        "mpeg4 -b:v 1M -g 12",
        "mjpeg -q:v 5",
    ],
)
def test_a_freeze_before_the_encoder_is_seen(real_video, tmp_path, encoder):
    image = video_of(real_video).whole[0][1]
    size = f"{image.shape[1]}x{image.shape[0]}"
    command = (
        f"ffmpeg -v error -f rawvideo -pix_fmt bgr24 -s {size} -r 10 -i - -pix_fmt yuv420p -c:v {encoder}"
    )
    subprocess.run([*command.split(), str(tmp_path / "f.mkv")], input=image.tobytes() * 180, check=True)
    changes, _ = told(sampled(tmp_path / "f.mkv"))
    assert names(changes) == ["online", "frozen"]


def test_a_cut_to_another_size_is_seen(road):
    video = video_of(road)
    cut = [(now, cv2.resize(image, (320, 240))) for now, image in video.whole if now < 28]
    changes, _ = told(cut, state=video.before)
    assert names(changes) == ["online", "resized"]
    assert changes[1][2].reason == "frames are 320x240, normally 768x432"


# -- on drawn scenes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["street", "warehouse"])
@pytest.mark.parametrize("hour", [1, 20])
def test_drawn_nights_show_no_fault(layout, hour):
    from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions

    options = SyntheticOptions(
        layout=layout, width=320, height=180, start_hour=hour, fps=4, pace="fast", seed=3
    )
    camera = SyntheticCamera("drawn", options)
    camera.open()
    changes, _ = told((index / 4, camera.read().image) for index in range(160))
    assert names(changes) == ["online"]


def textured(seed=1):
    picture = np.random.default_rng(seed).integers(0, 255, (27, 48, 3), dtype=np.uint8)
    return cv2.resize(picture, (384, 216), interpolation=cv2.INTER_CUBIC)


def still(image, seconds, start=0.0):
    return ((start + step * SAMPLE_SECONDS, image) for step in range(int(seconds / SAMPLE_SECONDS)))


def grainy(image, seconds, spread, start=0.0):
    rng = np.random.default_rng(5)
    grain = [np.rint(rng.normal(0, spread, image.shape)).astype(np.int16) for _ in range(7)]
    for number, (now, picture) in enumerate(still(image, seconds, start)):
        yield now, np.clip(picture + grain[number % 7], 0, 255).astype(np.uint8)


def test_a_still_scene_with_a_little_sensor_noise_is_not_frozen():
    changes, _ = told(grainy(textured(), 40, 1.0))
    assert names(changes) == ["online"]


def test_a_quiet_scene_teaches_patience():
    """Noise-free (a screen, a strongly compressed night): still for 12 s at a time, moved by something between."""

    def quiet():
        for round_ in range(8):
            yield from still(textured(seed=1 + round_ % 2), 12, round_ * 12.0)
        yield from still(textured(), 60, 96.0)

    changes, state = told(quiet())
    assert state.stretch.longest == pytest.approx(12, abs=0.5)
    frozen = [now for now, kind, _ in changes if kind is CameraState.FROZEN]
    assert frozen == [pytest.approx(96 + 36, abs=1)]


def test_a_white_wall_is_normal_for_a_camera_that_always_saw_it():
    wall = textured()
    wall[:, :250] = 255
    changes, _ = told(grainy(wall, 40, 2.0))
    assert names(changes) == ["online"]
    bright = cv2.convertScaleAbs(wall, alpha=3.0, beta=150)
    assert told(grainy(bright, 10, 2.0))[0][-1][1] is CameraState.OVEREXPOSED


def test_a_sensor_with_nothing_but_noise_is_covered_not_moved():
    noise = (pair for pair in grainy(np.full((432, 768, 3), 90, np.uint8), 30, 4.0))
    assert names(told(noise)[0]) == ["online", "covered"]


# -- the laws --------------------------------------------------------------------------------------------------


def test_one_thing_that_moves_over_a_plain_ground_is_no_fault():
    """A conveyor belt: structure is now here, now there, and mostly nowhere."""

    def belt():
        for now, image in grainy(np.full((180, 320, 3), 40, np.uint8), 150, 1.0):
            place = (int(now * 37) % 320, 90 + int(80 * np.sin(now)))
            yield now, cv2.circle(image.copy(), place, 18, (240, 240, 240), -1)

    assert names(told(belt())[0]) == ["online"]


def test_short_signs_are_not_told():
    def blinking():
        for now, image in grainy(textured(), 40, 2.0):
            yield now, image * 0 if 20 <= now < 22.5 else image

    assert names(told(blinking())[0]) == ["online"]


def test_a_sign_that_comes_and_goes_is_not_told_and_one_that_stays_does_not_flicker():
    def flickering():
        for now, image in grainy(textured(), 60, 2.0):
            yield now, image * 0 if 20 <= now < 40 and int(now * 2) % 2 else image

    assert names(told(flickering())[0]) == ["online"]

    def mostly():
        for now, image in grainy(textured(), 60, 2.0):
            yield now, image * 0 if 20 <= now < 40 and int(now) % 6 else image

    assert names(told(mostly())[0]) == ["online", "black", "online"]


def test_slowness_is_told_and_keeps_pictures_out_of_drift():
    state, verdict = HealthState(), HealthVerdict(CameraState.ONLINE, "", True)
    for now, image in grainy(textured(), 15, 2.0):
        state, verdict = observe(state, small_image(image), now, SLOW)
    assert (verdict.state, verdict.usable) == (CameraState.SLOW, False)
    assert verdict.reason == "3.0 frames a second, normally 12.0"


def test_broken_time_stamps_are_told():
    changes, _ = told(grainy(textured(), 5, 2.0), pace=TimingReport(12.0, 12.0, 3))
    assert names(changes) == ["bad_timestamps"]
    assert not changes[0][2].usable


def test_time_stamps_that_stay_broken_are_judged_no_more_after_an_hour():
    inspector = Inspector(by_media=False)
    states = []
    for now, image in itertools.chain(
        grainy(textured(), 40, 2.0), grainy(textured(), 40, 2.0, 40 + ACCEPT_SECONDS)
    ):
        frame = stamped("front", 0, image, media_seconds=7.0)
        states.append(inspector.inspect(dataclasses.replace(frame, monotonic_ns=int(now * 1e9))).state.value)
    assert [state for state, _ in itertools.groupby(states)] == ["online", "bad_timestamps", "online"]


def test_an_aim_that_stays_for_an_hour_is_the_new_normal():
    _, state = told(grainy(textured(1), 20, 2.0))
    changes, state = told(grainy(textured(2), 12, 2.0, 20.0), state=state)
    assert names(changes) == ["online", "moved"]
    changes, state = told(grainy(textured(2), 20, 2.0, 40.0 + ACCEPT_SECONDS), state=state)
    assert changes[0][2].accepted == {CameraState.MOVED}
    assert names(changes) == ["online"]
    changes, state = told(grainy(textured(1), 20, 2.0, 80.0 + ACCEPT_SECONDS), state=state)
    assert names(changes) == ["online"], "the old one is still known"
    changes, _ = told(grainy(textured(3), 20, 2.0, 100.0 + ACCEPT_SECONDS), state=state)
    assert names(changes) == ["online", "moved"]


def test_a_view_that_came_back_is_no_longer_moved_though_more_moves_in_it_than_before():
    _, state = told(grainy(textured(1), 20, 2.0))
    changes, state = told(grainy(textured(2), 12, 2.0, 20.0), state=state)
    assert names(changes) == ["online", "moved"]
    under_leaves = (
        (40.0 + index / 4, cv2.addWeighted(textured(1), 0.25, textured(100 + index), 0.75, 0))
        for index in range(80)
    )
    changes, _ = told(under_leaves, state=state)
    assert names(changes) == ["moved", "online"]
    assert changes[1][0] - 40 < 10


def test_a_reopened_camera_is_judged_anew_by_the_same_normal():
    _, state = told(grainy(textured(1), 20, 2.0))
    _, state = told(grainy(textured(2), 12, 2.0, 20.0), state=state)
    changes, _ = told(grainy(textured(2), 12, 2.0, 100.0), state=reopened(state))
    assert names(changes) == ["online", "moved"]
    assert changes[1][0] - 100 >= 5


def test_every_content_state_has_its_fault():
    course = {CameraState.STARTING, CameraState.ONLINE, CameraState.DOWN, CameraState.ENDED}
    assert {fault.state for fault in FAULTS} == set(CameraState) - course


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (90, 160), (4320, 7680), (1920, 1080)])
def test_any_shape_can_be_judged(shape):
    image = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    image.setflags(write=False)
    look = small_image(image)
    assert look.grey.shape == (90, 160)
    assert look.size == (shape[1], shape[0])
    figures = measure(look.grey)
    assert np.isfinite(figures.fine).all()
    assert np.isfinite(figures.coarse).all()
    assert share_changed(look.raw, look.raw, 0) == 0
    assert (
        np.median(agreement(figures.edges, figures.edges)) == pytest.approx(1.0, abs=0.01)
        or image.size < 10000
    )


def test_different_shapes_are_different_pictures():
    one, other = np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)
    assert share_changed(one, other, 0) == 1.0
