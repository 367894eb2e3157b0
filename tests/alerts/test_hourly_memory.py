"""Twin of agent/alerts/hourly_memory.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.hourly_memory import DAY, RECENT_DAYS, SPACING_SECONDS, HourlyMemory, usual_of

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=50), finite)
def test_z_is_finite_and_signed(samples, value):
    usual = usual_of(samples, days=1, hour=None)
    z = usual.z(value)
    assert np.isfinite(z)
    assert np.sign(z) in {np.sign(value - usual.median), 0}


def test_z_of_normal_numbers_is_their_sigma():
    samples = np.random.default_rng(3).normal(50, 4, 20_000)
    usual = usual_of(samples.tolist(), days=1, hour=None)
    assert usual.z(62) == pytest.approx(3, rel=0.05)
    assert usual.z(38) == pytest.approx(-3, rel=0.05)


def test_a_constant_past_does_not_divide_by_nothing():
    assert abs(usual_of([5.0] * 99, days=3, hour=1).z(5.05)) < 1
    assert usual_of([5.0] * 99, days=3, hour=1).z(6.0) == pytest.approx(10)


def filled(days, value=lambda day, hour: float(hour)):
    memory = HourlyMemory()
    for step in range(int(days * DAY / SPACING_SECONDS)):
        at = step * SPACING_SECONDS
        memory.add(value(int(at // DAY), int(at % DAY // 3600)), at)
    return memory


def test_too_little_is_no_verdict_and_a_day_compares_with_all_hours():
    assert filled(0.9).usual(0.9 * DAY) is None
    assert filled(1.1).usual(1.1 * DAY).hour is None
    usual = filled(4).usual(4 * DAY + 12.5 * 3600)
    assert (usual.hour, usual.days, usual.median) == (12, 4, 12.0)


def test_today_does_not_count_and_old_days_are_discarded():
    memory = filled(30, lambda day, hour: float(day))
    usual = memory.usual(29 * DAY + 23.9 * 3600)
    assert (usual.days, usual.median) == (RECENT_DAYS - 1, 22.0)
    kept = sum(len(values) for days in memory.to_snapshot()["hours"].values() for values in days.values())
    assert kept == RECENT_DAYS * DAY / SPACING_SECONDS


def test_it_survives_as_json():
    memory = filled(5)
    twin = HourlyMemory.from_snapshot(json.loads(json.dumps(memory.to_snapshot())))
    assert twin.usual(5 * DAY) == memory.usual(5 * DAY)
    assert twin.to_snapshot() == memory.to_snapshot()


def test_samples_are_thinned():
    memory = HourlyMemory()
    for second in range(3600):
        memory.add(1.0, float(second))
    assert len(memory.to_snapshot()["hours"]["0"]["0"]) == 12
