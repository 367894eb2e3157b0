"""The frame board: the newest frame wins, losses are counted, and no camera starves another."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.core.frame_slots import FrameSlots
from agent.core.types import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


def frame(camera, index=0):
    return Frame(camera=camera, index=index, image=PICTURE, captured_at=0.0, monotonic_ns=0)


def test_the_newest_frame_replaces_the_old_and_the_loss_is_counted_once():
    board = FrameSlots()
    for index in range(3):
        board.put(frame("a", index))
    assert [f.index for f in board.take(8, timeout=0)] == [2]
    assert board.take_counts("a").dropped == 2
    assert board.take_counts("a").dropped == 0


def test_nothing_there_is_an_empty_list_after_the_timeout():
    assert FrameSlots().take(8, timeout=0.01) == []


def test_a_fast_camera_keeps_its_place_and_takes_nobody_elses():
    board = FrameSlots()
    board.put(frame("fast", 0))
    board.put(frame("slow", 0))
    for index in range(1, 50):
        board.put(frame("fast", index))
    assert [f.camera for f in board.take(1, timeout=0)] == ["fast"]
    board.put(frame("fast", 50))
    assert [f.camera for f in board.take(1, timeout=0)] == ["slow"]


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(1, 4))
def test_every_frame_is_taken_or_counted_as_dropped(puts, limit):
    board = FrameSlots()
    taken = 0
    for number, camera in enumerate(puts):
        board.put(frame(camera, number))
        if number % 3 == 2:
            taken += len(board.take(limit, timeout=0))
    while frames := board.take(limit, timeout=0):
        taken += len(frames)
    assert taken + sum(board.take_counts(camera).dropped for camera in "abcdef") == len(puts)


def test_a_lossless_source_waits_until_its_frame_was_taken():
    board, stop = FrameSlots(), threading.Event()
    got = []

    def feed():
        for index in range(20):
            board.put_when_free(frame("file", index), stop, lambda: None)

    feeder = threading.Thread(target=feed)
    feeder.start()
    while len(got) < 20:
        got += [f.index for f in board.take(4, timeout=5)]
    feeder.join(5)
    assert got == list(range(20))
    assert board.take_counts("file").dropped == 0


def test_a_waiting_source_gives_up_when_stopped():
    board, stop = FrameSlots(), threading.Event()
    board.put(frame("file"))
    stop.set()
    board.put_when_free(frame("file", 1), stop, lambda: None)
    assert [f.index for f in board.take(4, timeout=0)] == [0]


def test_it_lingers_for_a_fuller_batch_but_not_for_more_than_is_enough():
    board = FrameSlots()
    board.put(frame("a"))
    later = threading.Timer(0.05, lambda: board.put(frame("b")))
    later.start()
    assert len(board.take(8, timeout=1, linger=5.0, enough=2)) == 2
    later.join()


def test_a_removed_camera_leaves_nothing_behind():
    board = FrameSlots()
    board.put(frame("a"))
    board.remove("a")
    assert board.take(8, timeout=0) == []
