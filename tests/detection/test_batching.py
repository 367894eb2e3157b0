"""The batch sizer finds the size that costs least, whatever the machine, and stays there."""

import random

import pytest

from agent.detection.batching import TRY_EVERY, BatchSizer, sizes


def serve(sizer, cost, runs, waiting=64, noise=0.0, seed=0):
    """`runs` runs on a machine where a frame in a run of n costs `cost(n)`; returns the sizes that were run."""
    chance, sizes = random.Random(seed), []
    for _ in range(runs):
        size = min(sizer.next(), waiting)
        sizer.ran(size, size * cost(size) * chance.uniform(1 - noise, 1 + noise))
        sizes.append(size)
    return sizes


def on_a_gpu(size):
    return 0.001 + 0.003 / size


def on_two_cores(size):
    return 0.03 * (1 + 0.05 * (size - 1))


@pytest.mark.parametrize("first", [1, 2, 8])
@pytest.mark.parametrize(("cost", "best"), [(on_a_gpu, 8), (on_two_cores, 1)])
def test_it_comes_to_the_best_size_from_anywhere_and_stays(first, cost, best):
    sizer = BatchSizer(8, first)
    assert sizer.chosen == first
    serve(sizer, cost, 3000, noise=0.1)
    settled = sizer.chosen
    assert serve(sizer, cost, 1000, noise=0.1, seed=1).count(settled) >= 900
    assert cost(settled) < 1.12 * cost(best)  # a step that gains less is not worth moving for


def test_trials_are_rare_and_a_single_camera_is_never_kept_waiting():
    sizer = BatchSizer(8, 1)
    assert set(serve(sizer, on_two_cores, 10 * TRY_EVERY, waiting=1)) == {1}
    trials = [size for size in serve(BatchSizer(8, 1), on_two_cores, 10 * TRY_EVERY) if size > 1]
    assert len(trials) == 9


def test_a_machine_that_changes_is_followed():
    sizer = BatchSizer(8, 8)
    serve(sizer, on_a_gpu, 500)
    assert sizer.chosen == 8
    serve(sizer, lambda size: 0.01 * size, 3000)  # memory got tight: big runs swap
    assert sizer.chosen == 1


def test_sizes_that_are_no_choice_teach_nothing():
    sizer = BatchSizer(8, 8)
    for _ in range(500):
        assert sizer.next() in (4, 8)
        sizer.ran(3, 0.001)
    assert sizer.chosen == 8


def test_memory_too_small_for_a_size_rules_out_all_larger_ones():
    sizer = BatchSizer(8, 8)
    sizer.at_most(3)
    assert sizer.chosen == 3
    assert max(serve(sizer, on_a_gpu, 500)) == 3
    sizer.at_most(1)
    assert set(serve(sizer, on_a_gpu, 100)) == {1}


@pytest.mark.parametrize(
    ("most", "threads", "expected"), [(8, 0, (8, 8)), (8, 2, (1, 1)), (8, 16, (8, 1)), (1, 0, (1, 1))]
)
def test_where_it_begins_depends_on_what_runs_the_model(most, threads, expected):
    assert sizes(most, threads) == expected
