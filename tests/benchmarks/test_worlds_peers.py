"""What the table of other tests in worlds counts."""

import numpy as np
import pytest

from benchmarks.drift.worlds.peers import Known, chunks, cusum, episodes, their_delay

PER_HOUR = 60
HOURS = 48


@pytest.fixture(scope="module")
def stream():
    """A week of noise that is known, and two days; the second is a sigma higher in half of the features."""
    random = np.random.default_rng(3)
    known, values = (
        random.standard_normal((hours * PER_HOUR, 6)).astype(np.float32) for hours in (168, HOURS)
    )
    values[24 * PER_HOUR :, :3] += 1.0
    return Known(values=known, per_hour=PER_HOUR), values


@pytest.mark.parametrize(
    ("make", "hours", "late"), [(cusum, 1, 60.0), (chunks("Wasserstein 0.1, half", 24), 24, 1440.0)]
)
def test_a_test_says_nothing_of_what_is_normal_and_finds_a_change_at_the_end_of_a_chunk(
    stream, make, hours, late
):
    known, values = stream
    flags = make(known)(values)
    assert flags.shape == (HOURS,)
    assert not flags[:24].any()
    assert their_delay(flags, hours) == late


def test_an_alarm_is_a_run_of_hours():
    assert episodes(np.array([1, 1, 0, 1, 0, 0, 1], dtype=np.bool_)) == 3
    assert episodes(np.zeros(4, dtype=np.bool_)) == 0
    assert their_delay(np.zeros(HOURS, dtype=np.bool_), 1) == np.inf
