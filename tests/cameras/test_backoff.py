"""The waits before a camera is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.backoff import HEALTHY_SECONDS, JITTER, WAITS, BackoffState, after_failure
from agent.core.errors import CameraFailure

KINDS = list(CameraFailure)


def waits(kind, turns, *, healthy=0.0, chance=0.0):
    state, seconds = BackoffState(), []
    for _ in range(turns):
        state, wait = after_failure(state, kind, healthy, chance)
        seconds.append(wait)
    return seconds


def test_every_kind_has_a_wait():
    assert set(WAITS) == set(KINDS)


def test_a_wrong_password_is_tried_at_most_once_a_minute_and_then_ever_less():
    assert waits(CameraFailure.AUTH, 6) == [60, 120, 240, 480, 600, 600]


def test_a_refused_camera_is_tried_quickly_at_first():
    assert waits(CameraFailure.REFUSED, 7) == [1, 2, 4, 8, 16, 30, 30]


def test_a_healthy_minute_forgets():
    assert waits(CameraFailure.TIMEOUT, 3, healthy=HEALTHY_SECONDS) == [1, 1, 1]
    assert waits(CameraFailure.TIMEOUT, 3, healthy=HEALTHY_SECONDS - 1) == [1, 2, 4]


def test_kinds_count_apart():
    state, _ = after_failure(BackoffState(), CameraFailure.AUTH, 0, 0)
    state, refused = after_failure(state, CameraFailure.REFUSED, 0, 0)
    _, auth = after_failure(state, CameraFailure.AUTH, 0, 0)
    assert (refused, auth) == (1, 120)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 200), st.floats(0, 1)), max_size=60),
)
def test_waits_stay_within_the_table_and_jitter_only_lengthens(failures):
    state = BackoffState()
    for kind, healthy, chance in failures:
        state, wait = after_failure(state, kind, healthy, chance)
        assert WAITS[kind].first <= wait <= WAITS[kind].longest * (1 + JITTER)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_failures_do_not_overflow(kind):
    assert waits(kind, 5000)[-1] == WAITS[kind].longest
