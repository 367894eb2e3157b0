"""Frame rate and time stamps."""

import numpy as np
import pytest

from agent.cameras.health.timing import FrameTiming


def feed(timing, seconds, fps, *, start=0.0, media=lambda now: now, jitter=0.0):
    rng = np.random.default_rng(1)
    now = start
    for step in range(int(seconds * fps)):
        now = start + step / fps + abs(rng.normal(0, jitter))
        timing.tick(now, media(now))
    return now


def test_a_steady_camera_is_neither_slow_nor_broken():
    timing = FrameTiming()
    pace = timing.pace(feed(timing, 120, 12, jitter=0.02))
    assert pace.fps == pytest.approx(12, rel=0.05)
    assert pace.expected_fps == pytest.approx(12, rel=0.05)
    assert (pace.slow, pace.broken) == (False, False)


def test_a_third_of_the_rate_is_slow_and_half_is_not():
    for fps, slow in ((4, True), (6.5, None), (9, False)):
        timing = FrameTiming()
        feed(timing, 60, 12)
        assert timing.pace(feed(timing, 30, fps, start=60)).slow is slow


def test_a_slow_camera_does_not_become_the_expected_one():
    timing = FrameTiming()
    feed(timing, 60, 12)
    assert timing.pace(feed(timing, 600, 3, start=60)).expected_fps == pytest.approx(12, rel=0.05)


def test_a_burst_after_a_hiccup_is_forgiven():
    timing = FrameTiming()
    feed(timing, 60, 12)
    feed(timing, 5, 60, start=62)
    assert timing.pace(feed(timing, 30, 12, start=67)).slow is False


def test_an_accepted_rate_is_learnt_anew():
    timing = FrameTiming()
    feed(timing, 60, 12)
    feed(timing, 30, 3, start=60)
    timing.relearn_rate()
    assert timing.pace(feed(timing, 60, 3, start=90)).slow is False


def test_nothing_is_expected_of_a_camera_that_just_came():
    timing = FrameTiming()
    assert timing.pace(feed(timing, 12, 2)).expected_fps is None
    assert timing.pace(13).slow is False


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_video_that_falls_behind_is_slow_from_the_start_and_is_not_learnt_as_normal(share):
    timing = FrameTiming()
    now = feed(timing, 120, 12 * share, media=lambda now: now * share)
    assert timing.pace(now).slow is True
    assert timing.pace(now).expected_fps is None
    assert f"{5 * share:.1f} s of video came in 5 s" in timing.pace(now).words
    now = feed(timing, 30, 12, start=now + 0.1, media=lambda later: now * share + (later - now))
    assert timing.pace(now).slow is False


@pytest.mark.parametrize(
    "media",
    [
        lambda now: now * 0.97,
        lambda now: None,
        lambda now: now - 4.0 * (20 < now < 23),  # a hiccup that is made up for
        lambda now: now * 1.3,
        lambda now: now % 7.0,  # a loop that begins anew
    ],
)
def test_video_that_keeps_up_is_not_slow(media):
    timing, signs = FrameTiming(), []
    for step in range(1200):
        timing.tick(step / 10, media(step / 10))
        signs.append(timing.pace(step / 10).slow)
    assert True not in signs


def test_a_lag_that_was_accepted_is_not_told_again():
    timing = FrameTiming()
    now = feed(timing, 60, 6, media=lambda now: now / 2)
    timing.relearn_rate()
    assert timing.pace(feed(timing, 60, 6, start=now, media=lambda now: now / 2)).slow is False


@pytest.mark.parametrize(
    ("media", "broken"),
    [
        (lambda now: now, False),
        (lambda now: None, False),
        (lambda now: 5.0, True),
        (lambda now: -now, True),
        (lambda now: now + 100 * int(now), True),
        (lambda now: now + (1000 if now > 5 else 0), False),  # one leap is an accident
        (lambda now: now * 1.01, False),
    ],
)
def test_time_stamps_that_stand_or_leap_are_broken(media, broken):
    timing = FrameTiming()
    assert timing.pace(feed(timing, 10, 10, media=media)).broken is broken


def test_breaks_are_forgotten():
    timing = FrameTiming()
    now = feed(timing, 5, 10, media=lambda now: 1.0)
    assert timing.pace(now).broken
    assert not timing.pace(now + 31).broken
    timing.reopened()
    assert not timing.pace(now).broken
