"""Lanes: what they begin is told in order, and a lane begins just before the model is free."""

import random
import threading
import time

import pytest

from agent.detection.lanes import BusyForecast, ResultOrder, work_abreast


def test_whatever_takes_how_long_it_is_told_in_the_order_in_which_it_began():
    turns, told, lock = ResultOrder(), [], threading.Lock()
    left = iter(range(60))
    chance = random.Random(1)

    def step():
        with lock:
            number = next(left, None)
            if number is None:
                stop.set()
                return
            turn = turns.begin()
        time.sleep(chance.random() / 500)
        turns.deliver(turn, lambda: told.append(number))

    stop = threading.Event()
    work_abreast(4, step, stop)
    assert told == list(range(60))


def test_what_comes_early_is_told_by_the_lane_it_waits_for():
    turns, told = ResultOrder(), []
    first, second, third = (turns.begin() for _ in range(3))
    turns.deliver(third, lambda: told.append(3))
    turns.deliver(second, lambda: told.append(2))
    assert told == []
    turns.deliver(first, lambda: told.append(1))
    assert told == [1, 2, 3]


def test_a_turn_that_fails_does_not_hold_up_those_after_it():
    def fail():
        raise KeyError

    turns, told = ResultOrder(), []
    first, second, third = (turns.begin() for _ in range(3))
    turns.deliver(second, lambda: told.append(2))
    with pytest.raises(KeyError):
        turns.deliver(first, fail)
    turns.deliver(third, lambda: told.append(3))
    assert told == [2, 3]


def test_a_lane_that_is_stuck_stops_the_others_before_they_hold_too_many_pictures():
    turns = ResultOrder()
    stuck = turns.begin()
    begun = []

    def lane():
        for _ in range(100):
            turn = turns.begin()
            begun.append(turn)
            turns.deliver(turn, lambda: None)

    thread = threading.Thread(target=lane)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and len(begun) < 10
    turns.deliver(stuck, lambda: None)
    thread.join(5)
    assert len(begun) == 100


def test_one_lane_that_fails_ends_them_all_and_its_error_comes_out():
    ended = []

    def step():
        time.sleep(0.002)
        if threading.current_thread() is not threading.main_thread() and not ended:
            ended.append(1)
            raise LookupError("lost")

    threads = threading.active_count()
    with pytest.raises(LookupError, match="lost"):
        work_abreast(3, step, threading.Event())
    assert threading.active_count() == threads


def test_the_next_batch_is_chosen_just_before_the_model_is_free():
    outlook = BusyForecast()
    assert outlook.choose_in(4, 100.0) == 0.0  # nothing is known yet
    outlook.begun(4, 100.0)
    outlook.ended(4, 100.1, prepare=0.008, run=0.04)
    assert outlook.choose_in(4, 100.1) == 0.0  # the model is free
    outlook.begun(4, 100.2)  # prepared until 100.208, runs until 100.248
    assert 0.035 < outlook.choose_in(4, 100.2) < 0.04
    assert outlook.choose_in(1, 100.2) > outlook.choose_in(8, 100.2)
    assert outlook.choose_in(4, 100.3) == 0.0


def test_a_run_that_takes_longer_or_fails_is_not_counted_twice():
    outlook = BusyForecast()
    outlook.begun(1, 0.0)
    outlook.ended(1, 1.0, prepare=0.0, run=1.0)
    outlook.begun(1, 1.0)
    outlook.begun(1, 1.9)
    outlook.ended(1, 2.5, prepare=0.0, run=1.0)  # half a second late: the second begins only now
    assert outlook.choose_in(1, 2.5) == pytest.approx(1.0, abs=0.01)
    outlook.ended(1, 2.6)  # it failed
    assert outlook.choose_in(1, 2.6) == 0.0
