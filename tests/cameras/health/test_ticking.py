"""Areas that change every second: a burnt-in clock is found on real and drawn scenes, and nothing else is taken for one."""

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.cameras.health import ticking
from agent.cameras.health.features import small_image
from agent.cameras.health.ticking import TickFinder
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.cameras.reader import Reader
from agent.config.schema import CameraSettings
from agent.core.frame_slots import FrameSlots
from agent.core.scope import Scope
from agent.core.types import Frame
from agent.core.untrusted import parse_toml

SIZE = (640, 360)
FONT = cv2.FONT_HERSHEY_SIMPLEX
PLACES = {
    "bottom right": ((380, 346), 0.55, 1, "2026-11-26 12:{0:02}:{1:02}", "2026-11-26 "),
    "top left, time first": ((8, 30), 0.7, 2, "12:{0:02}:{1:02} PM 26.11.", ""),
    "seconds alone": ((300, 200), 1.0, 2, "{1:02}", ""),
}


def burnt_in(image, second, at, size, thick, text, _before=""):
    text = text.format(second // 60 % 60, second % 60)
    for colour, width in ((0, thick + 2), (255, thick)):
        cv2.putText(image, text, at, FONT, size, (colour,) * 3, width, cv2.LINE_AA)
    return image


@pytest.fixture(scope="module")
def street():
    """Ten seconds of a drawn street with traffic, four frames a second, shown again and again."""
    scene = Scene("street", 3, *SIZE)
    return [scene.draw(number / 4, 12.0, number).image for number in range(41)]


def found(street, draw, *, rate=4.0, seconds=190, offset=0.37, scope=None, jitter=0.05):
    """The areas found in that time, and after how many seconds; `draw(image, t)` changes a frame."""
    finder, random = TickFinder(), np.random.default_rng(1)
    for number in range(int(seconds * rate)):
        at = number / rate
        image = draw(street[int(at * 4) % len(street)].copy(), at + offset)
        small = small_image(image, scope) if scope else small_image(image)
        if areas := finder.add(small, 5000.0 + at + random.uniform(0, jitter)):
            return areas, at
    return (), seconds


@pytest.mark.parametrize(
    "place", ["bottom right", *(pytest.param(place, marks=pytest.mark.slow) for place in list(PLACES)[1:])]
)
def test_a_burnt_in_clock_is_found_with_the_digits_that_change_seldom(street, place):
    at, size, thick, text, before = PLACES[place]
    areas, after = found(street, lambda image, t: burnt_in(image, int(t), at, size, thick, text))
    assert len(areas) == 1
    assert after < 185
    time = text.removeprefix(before).partition(" ")[0].format(0, 0)
    left = at[0] + cv2.getTextSize(before, FONT, size, thick)[0][0]
    (width, height), _ = cv2.getTextSize(time, FONT, size, thick)
    (x0, y0), _, (x1, y1), _ = areas[0]
    assert x0 * SIZE[0] <= left
    assert y0 * SIZE[1] <= at[1] - height
    assert x1 * SIZE[0] >= left + width
    assert y1 * SIZE[1] >= at[1] - 1
    assert (x1 - x0) * (y1 - y0) < 0.1


def test_a_clock_is_found_at_five_frames_a_second_and_none_is_made_up_at_one(street):
    def clock(image, t):
        return burnt_in(image, int(t), *PLACES["bottom right"])

    assert found(street, clock, rate=2.5)[0], "5 frames a second are looked at 2.5 times"
    assert not found(street, clock, rate=1.0, jitter=0.0)[0]


NOISE = np.random.default_rng(5).integers(0, 26, (8, SIZE[1], SIZE[0], 3), dtype=np.uint8)


def key_frame(image, t):
    """The whole frame looks a little different after each key frame, one a second."""
    return cv2.add(image, NOISE[int(t) % 8])


def blinking(image, t):
    """A lamp that is on and off for half a second each."""
    image[100:140, 300:340] = 250 if t % 1 < 0.5 else 10
    return image


def screen(image, t):
    """A screen that shows something else each time."""
    image[100:200, 300:480] = np.random.default_rng(int(t * 4)).integers(0, 255)
    return image


def slow_clock(image, t):
    """A clock without seconds."""
    return burnt_in(image, int(t) // 60 * 60, *PLACES["bottom right"])


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "draw",
    [
        key_frame,
        blinking,
        pytest.param(lambda image, _: image, marks=SLOW),
        pytest.param(screen, marks=SLOW),
        pytest.param(slow_clock, marks=SLOW),
    ],
)
def test_nothing_else_is_taken_for_a_clock(street, draw):
    assert found(street, draw, seconds=190)[0] == ()


def test_a_clock_that_is_ignored_is_not_found(street):
    scope = Scope(ignored=(((0.5, 0.85), (1.0, 0.85), (1.0, 1.0), (0.5, 1.0)),))
    assert not found(street, lambda image, t: burnt_in(image, int(t), *PLACES["bottom right"]), scope=scope)[
        0
    ]


def test_it_is_found_under_a_frame_that_is_frozen_and_after_a_gap(street):
    finder, times = TickFinder(), [*np.arange(0, 50, 0.25), *np.arange(70, 260, 0.25)]
    after = [
        t for t in times
        if finder.add(small_image(burnt_in(street[0].copy(), int(t), *PLACES["bottom right"])), t)
    ]  # fmt: skip
    assert len(after) == 1
    assert 249 < after[0] < 252, " three whole minutes after the gap"


def test_the_journal_proposes_it_once_as_a_line_for_the_config(street, monkeypatch):
    monkeypatch.setattr(ticking, "ROUNDS", 1)
    corner = ((0.0, 0.0), (0.1, 0.0), (0.1, 0.1))
    settings = CameraSettings(name="front", privacy_masks=(corner,), ignore_masks=(corner[::-1],))
    reader = Reader(None, settings, FrameSlots(), lambda _: None)
    assert reader.proposal == ""
    with capture_logs() as lines:
        for number in range(4 * 65):
            image = burnt_in(street[number % len(street)].copy(), number // 4, *PLACES["bottom right"])
            at = 10**12 + number * 10**9 // 4
            frame = Frame(
                camera="front",
                index=number,
                image=image,
                captured_at=0.0,
                monotonic_ns=at,
                scope=settings.scope,
            )
            reader._inspect(frame)
    (line,) = [line for line in lines if "every second" in line["event"]]
    masks = parse_toml(line["proposal"])["ignore_masks"]
    assert tuple(map(tuple, masks[0])) == corner[::-1]
    assert len(masks) == 2
    assert reader.proposal == line["proposal"]
