"""Health under masks: what is under one neither hides a fault nor makes one."""

from itertools import cycle

import cv2
import numpy as np

from agent.cameras.health.inspector import Inspector
from agent.core.scope import WHOLE, Scope
from agent.core.types import CameraState, Frame

CLOCK = Scope(ignored=(((0.0, 0.0), (0.45, 0.0), (0.45, 0.13), (0.0, 0.13)),))
SIZE = (320, 180)


def scene(seed=1, noise=3.0):
    """A room with things in it, and the grain of its camera: another at each call of what is returned."""
    random = np.random.default_rng(seed)
    image = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    for _ in range(120):
        x, y, w, h = (int(random.integers(low, high)) for low, high in ((0, 320), (0, 180), (6, 50), (6, 50)))
        cv2.rectangle(image, (x, y), (x + w, y + h), tuple(map(int, random.integers(30, 220, 3))), -1)
    grains = [random.normal(0, noise, image.shape) for _ in range(8)]
    return cycle([np.clip(image + grain, 0, 255).astype(np.uint8) for grain in grains]).__next__


def with_clock(image, second):
    """The image with a burnt-in clock."""
    image = image.copy()
    cv2.putText(
        image, f"12:{second // 60:02}:{second % 60:02}", (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255,) * 3, 2
    )
    return image


class Watched:
    """An inspector, and the states that it gave."""

    def __init__(self):
        self.inspector, self.states, self.number = Inspector(by_media=False), ["online"], 0

    def show(self, image_at, seconds, scope):
        """Show `image_at(second)` four times a second for so many seconds."""
        for _ in range(4 * seconds):
            image = image_at(self.number // 4)
            at = 1000 * 10**9 + self.number * 10**9 // 4
            frame = Frame(
                camera="a", index=self.number, image=image, captured_at=0.0, monotonic_ns=at, scope=scope
            )
            state = self.inspector.inspect(frame).state.value
            self.states += [state] if state != self.states[-1] else []
            self.number += 1
        return self.states


def test_a_frame_that_is_frozen_under_an_ignored_clock_is_frozen():
    room, watched = scene(), Watched()
    assert watched.show(lambda second: with_clock(room(), second), 20, CLOCK) == ["online"]
    still = room()
    assert watched.show(lambda second: with_clock(still, second), 30, CLOCK) == ["online", "frozen"]


def test_a_dark_frame_is_black_in_spite_of_bright_text_that_is_ignored():
    room, watched = scene(), Watched()
    watched.show(lambda second: with_clock(room(), second), 15, CLOCK)
    dark = np.full((SIZE[1], SIZE[0], 3), 8, np.uint8)
    dark[:20, :140] = 235  # a bar behind the text
    assert CameraState.BLACK.value in watched.show(lambda _: dark, 10, CLOCK)


def test_a_screen_that_is_ignored_makes_no_fault_whatever_it_shows():
    room, watched, random = scene(), Watched(), np.random.default_rng(2)
    screen = Scope(ignored=(((0.1, 0.1), (0.9, 0.1), (0.9, 0.62), (0.1, 0.62)),))

    def flickering(second):
        image = room()
        image[20:110, 34:286] = (
            random.integers(0, 2) * 255 if second % 20 < 10 else random.integers(0, 256, (90, 252, 3))
        )
        return image

    assert watched.show(flickering, 60, screen) == ["online"]


def test_faults_are_seen_beside_a_mask_over_most_of_the_frame():
    most = Scope(ignored=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.6), (0.0, 0.6)),))
    for fault, image in (("black", np.zeros), ("overexposed", np.ones)):
        room, watched = scene(), Watched()
        assert watched.show(lambda _, room=room: room(), 15, most) == ["online"]
        plain = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        plain[108:] = image((72, 320, 3)).astype(np.uint8) * 255
        assert watched.show(lambda _, plain=plain: plain, 12, most)[-1] == fault


def test_a_mask_that_is_added_is_no_fault_and_what_is_normal_is_learnt_anew():
    room, watched = scene(), Watched()
    masks = [WHOLE, CLOCK, Scope(ignored=(((0.3, 0.2), (1.0, 0.2), (1.0, 1.0), (0.3, 1.0)),)), WHOLE]
    for scope in masks:
        assert watched.show(lambda _: room(), 20, scope) == ["online"]
