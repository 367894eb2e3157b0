"""Whether frames are still to come."""

from agent.cameras.kinds.frame_wait import LONGEST_WAIT_SECONDS, FrameWait


def fed(seconds, *, key_every=0, fps=10):
    wait = FrameWait()
    for step in range(int(seconds * fps) + 1):
        key = bool(key_every) and step > 0 and step % int(key_every * fps) == 0
        wait.packet(100 + step / fps, key_frame=key)
    return wait, 100 + seconds


def test_a_key_frame_is_waited_for_as_long_as_packets_come():
    wait, now = fed(119)
    assert (wait.note(now), wait.failure(now)) == ("waiting for a key frame, 119 s", "")
    wait.frame()
    assert (wait.note(now), wait.failure(now)) == ("", "")


def test_the_first_second_is_nothing_unusual():
    wait, now = fed(0.9)
    assert wait.note(now) == ""


def test_key_frames_without_a_whole_one_are_a_broken_source():
    assert fed(7, key_every=1)[0].failure(107) == ""
    assert "no readable video" in fed(9, key_every=1)[0].failure(109)


def test_the_first_key_frames_may_be_damaged_where_they_are_seldom():
    wait, now = fed(100, key_every=40)
    assert (wait.note(now), wait.failure(now)) == ("waiting for a whole frame, 100 s", "")


def test_a_source_without_key_frames_is_named_in_the_end():
    wait, _ = fed(1)
    assert "(GOP)" in wait.failure(100 + LONGEST_WAIT_SECONDS + 1)
