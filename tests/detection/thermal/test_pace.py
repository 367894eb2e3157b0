"""The pace: slower while hot, in steps; faster again once cool; and never for things that are no heat."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import Observation
from agent.detection.thermal.pace import (
    COOLED,
    DOWN,
    LEAST,
    STEP_SECONDS,
    UP,
    Heat,
    HeatLevel,
    ModelPace,
    feel,
    follow,
)

HOT, WARM, COOL = (
    Heat(warmth=one, reason=one.value) for one in (HeatLevel.HOT, HeatLevel.WARM, HeatLevel.COOL)
)


def seen(metric, value, text="", **labels):
    return Observation(metric=metric, value=value, at=0.0, labels=labels, text=text)


@pytest.mark.parametrize(
    ("observations", "warmth", "reason"),
    [
        ([], HeatLevel.COOL, ""),
        ([seen("host.temperature_celsius", 60)], HeatLevel.COOL, ""),
        ([seen("host.temperature_celsius", 92)], HeatLevel.WARM, "host at 92 °C, limit 95"),
        ([seen("host.temperature_celsius", 96.4)], HeatLevel.HOT, "host at 96 °C, limit 95"),
        (
            [seen("host.temperature_celsius", 60), seen("gpu.temperature_celsius", 97, gpu="0")],
            HeatLevel.HOT,
            "gpu 0 at 97 °C, limit 95",
        ),
        (
            [seen("gpu.throttled", 1, "power_cap,thermal_software", gpu="0")],
            HeatLevel.HOT,
            "gpu 0 is throttled (power_cap,thermal_software)",
        ),
        (
            [seen("gpu.throttled", 1, "hardware_slowdown")],
            HeatLevel.HOT,
            "gpu is throttled (hardware_slowdown)",
        ),
        ([seen("gpu.throttled", 1, "power_cap")], HeatLevel.COOL, ""),
        ([seen("gpu.throttled", 0, "thermal_software")], HeatLevel.COOL, ""),
        ([seen("host.temperature_celsius", 127)], HeatLevel.COOL, ""),
        ([seen("host.temperature_celsius", float("nan"))], HeatLevel.COOL, ""),
        ([seen("host.temperature_nvme_celsius", 99)], HeatLevel.COOL, ""),
    ],
)
def test_what_counts_as_hot(observations, warmth, reason):
    assert feel(observations, 95.0) == Heat(warmth=warmth, reason=reason)


def test_a_limit_of_zero_feels_nothing():
    assert feel([seen("host.temperature_celsius", 110), seen("gpu.throttled", 1, "thermal_x")], 0.0) == Heat()


def test_the_first_step_is_felt_even_where_the_model_was_half_idle():
    assert follow(ModelPace(), HOT, 0.4, 0.0) == ModelPace(limit=DOWN * 0.4, changed=0.0, reason="hot")


def test_steps_wait_for_the_heat_and_it_comes_back_to_full_speed_once_cool():
    pace, limits, now = ModelPace(), [], 0.0
    for heat, seconds in ((HOT, 60), (WARM, 120), (COOL, 600)):
        for _ in range(seconds):
            pace = follow(pace, heat, min(1.0, pace.limit), now)
            limits.append(pace.limit)
            now += 1
    assert len(set(limits[:15])) == 1
    assert limits[59] == pytest.approx(DOWN**4)
    assert limits[179] == limits[59]  # between cool and hot it stays: no flapping
    assert limits[-1] == 1.0
    assert pace == ModelPace(limit=1.0, changed=pace.changed)
    rises = [b / a for a, b in itertools.pairwise(limits) if b > a]
    assert max(rises) <= UP + 1e-9


@given(
    st.lists(st.tuples(st.sampled_from([HOT, WARM, COOL]), st.floats(0, 1), st.floats(0.1, 40)), max_size=200)
)
def test_the_limit_stays_in_its_bounds_and_moves_only_as_the_heat_says(steps):
    pace, now = ModelPace(), 0.0
    for heat, busy, seconds in steps:
        now += seconds
        before, pace = pace, follow(pace, heat, busy, now)
        assert LEAST <= pace.limit <= 1.0
        if pace.limit < before.limit:
            assert heat is HOT
        if pace.limit > before.limit:
            assert heat is COOL or before.limit * 1.01 >= LEAST
        if pace is not before:
            assert now - before.changed >= STEP_SECONDS
        assert pace.full == (pace.reason == "")


def test_cool_is_some_degrees_under_the_limit():
    assert feel([seen("host.temperature_celsius", 95 - COOLED)], 95).warmth is HeatLevel.COOL
    assert feel([seen("host.temperature_celsius", 95 - COOLED + 0.1)], 95).warmth is HeatLevel.WARM
    assert feel([seen("host.temperature_celsius", 95)], 95).warmth is HeatLevel.WARM
