from __future__ import annotations

import math

from agent.telemetry.window import EntityWindow, max_name, merge_values, rounded


def closed(*samples: dict) -> dict:
    window = EntityWindow()
    for sample in samples:
        window.add(sample)
    return window.close()


def test_means_and_maxima():
    assert closed({"cpu_ratio": 0.2, "load_1m": 1.0}, {"cpu_ratio": 0.6, "load_1m": 3.0}) == {
        "cpu_ratio": 0.4,
        "cpu_max_ratio": 0.6,
        "load_1m": 2.0,
    }


def test_counters_uptimes_and_texts_are_the_last():
    assert closed(
        {"ecc_total": 1, "uptime_seconds": 5, "gpu_state": "ok", "gpu_lost": 0},
        {"ecc_total": 4, "uptime_seconds": 6, "gpu_state": "lost", "gpu_lost": 1},
    ) == {"ecc_total": 4, "uptime_seconds": 6, "gpu_state": "lost", "gpu_lost": 1}


def test_throttling_is_remembered():
    quiet = {"throttled": 0, "throttle_reasons": ""}
    assert closed(
        quiet,
        {"throttled": 1, "throttle_reasons": "power_cap"},
        {"throttled": 1, "throttle_reasons": "board_limit,power_cap"},
        quiet,
    ) == {"throttled": 1, "throttled_ratio": 0.5, "throttle_reasons": "board_limit,power_cap"}
    assert closed(quiet) == {"throttled": 0, "throttled_ratio": 0.0, "throttle_reasons": ""}


def test_what_was_measured_only_sometimes_is_the_mean_of_those_times():
    assert closed({"power_x_watts": 4.0}, {}, {"power_x_watts": 6.0}) == {"power_x_watts": 5.0}


def test_nothing_that_is_no_number_gets_in():
    assert closed({"x_ratio": math.nan}, {"y_ratio": math.inf}) == {}


def test_numbers_are_short():
    assert rounded("memory_used_bytes", 123456789.4) == 123456789
    assert rounded("cpu_ratio", 1 / 3) == 0.33333
    assert max_name("gpu_own_memory_bytes") == "gpu_own_memory_max_bytes"


def test_two_probes_about_one_gpu():
    tegra = {"gpu_utilization_ratio": 0.5, "throttled": 1, "throttle_reasons": "over_current"}
    nvml = {"gpu_utilization_ratio": 0.6, "throttled": 0, "throttle_reasons": ""}
    assert merge_values(tegra, nvml) == {
        "gpu_utilization_ratio": 0.6,
        "throttled": 1,
        "throttle_reasons": "over_current",
    }
    assert merge_values({}, nvml) == nvml
