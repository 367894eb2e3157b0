import numpy as np
import pytest

from agent.drift.memory import AGE_WEIGHTS, AGES, KEEP, TIMES, fade, step_response


def test_the_shortest_memory_is_the_last_window():
    memory = np.zeros((2, KEEP.size))
    memory = fade(fade(memory, np.array([3.0, 4.0])), np.array([1.0, -2.0]))
    assert memory[:, 0].tolist() == [1.0, -2.0]


def test_a_constant_is_remembered_as_itself_in_the_end():
    memory = np.zeros(KEEP.size)
    for _ in range(12 * int(TIMES[-1])):
        memory = fade(memory, np.array(2.0))
    assert memory == pytest.approx(np.full(KEEP.size, 2.0), rel=1e-4)


def test_windows_that_showed_nothing_let_it_fade():
    memory = fade(np.zeros(KEEP.size), np.array(1.0))
    at_once = fade(memory, np.array(0.5), 4)
    for new in (0.0, 0.0, 0.0, 0.5):
        memory = fade(memory, np.array(new))
    assert memory == pytest.approx(at_once)


def test_a_step_fills_the_memory_as_predicted():
    memory = np.zeros(KEEP.size)
    for age in range(1, 65):
        memory = fade(memory, np.array(1.0))
        if age in AGES:
            assert memory == pytest.approx(step_response(np.array([age]))[0])


def test_what_happens_seldom_is_allowed_less():
    assert AGE_WEIGHTS[0] == 1.0
    assert (np.diff(AGE_WEIGHTS) > 0).all()
