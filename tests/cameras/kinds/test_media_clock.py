"""Media time: growing over joins and rounds in a file, as it is from a live source."""

import pytest

from agent.cameras.kinds.media_clock import MediaClock


def times(stamps, *, live=False, restarts=False):
    clock = MediaClock(live=live)
    return [clock.tick(stamp, restarts=restarts) for stamp in stamps]


def test_time_begins_at_the_first_stamp_and_a_pause_is_kept():
    assert times([100.0, 100.5, 130.5]) == pytest.approx([0, 0.5, 30.5])


@pytest.mark.parametrize("restarts", [False, True])
def test_joined_segments_go_on_one_step_after_the_last(restarts):
    assert times([5, 5.5, 6, 0, 0.5], restarts=restarts) == pytest.approx([0, 0.5, 1, 1.5, 2])


def test_only_a_format_whose_stamps_restart_takes_a_leap_for_a_join():
    stamps = [0, 0.5, 1000, 1000.5]
    assert times(stamps, restarts=True) == pytest.approx([0, 0.5, 1, 1.5])
    assert times(stamps) == pytest.approx([0, 0.5, 1000, 1000.5])


def test_a_live_source_keeps_its_broken_stamps_for_health_to_judge():
    assert times([5, 5.5, 4, 99], live=True, restarts=True) == pytest.approx([0, 0.5, -1, 94])


def test_a_round_begins_one_step_after_the_last_whatever_its_stamps():
    clock = MediaClock(live=False)
    for _ in range(2):
        assert [clock.tick(stamp) for stamp in (7.0, 7.25, 7.5)][-1] - clock.position >= 0
        assert clock.position == pytest.approx(0.5)
        clock.rewind()
    assert clock.tick(7.0) == pytest.approx(1.5)
    assert clock.frames == 1


def test_a_frame_without_a_stamp_has_no_time():
    assert times([None, 3.0, None, 3.5]) == [None, 0.0, None, 0.5]
