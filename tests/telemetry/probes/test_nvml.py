"""The NVML probe: the real pynvml against a library compiled here (fake_nvml/nvml.c).

Each test runs in a process of its own, since pynvml keeps the library that it loaded first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.exporter.catalogue import find
from agent.telemetry.probes.nvml_parse import failure_of, parse_cuda_version, parse_throttle_reasons
from agent.telemetry.sampler import observations
from tests.telemetry.fake_nvml.library import build

ROOT = Path(__file__).parents[3]

PLAY = """
import json, os, sys, time
from agent.core.errors import ProbeUnavailable
from agent.telemetry.probes import nvml as module
module.REOPEN_READS = 2
probe, told = module.NvmlProbe(), []
for scene in json.loads(sys.argv[1]):
    os.environ["FAKE_NVML"] = scene
    try:
        if not told or "unavailable" in told[-1]:
            probe.open()
        told.append({reading.entity: dict(reading.values) for reading in probe.read()})
    except ProbeUnavailable as error:
        told.append({"unavailable": str(error)})
facts = dict(probe.facts())
probe.close()
probe.close()
print(json.dumps([told, facts]))
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fake library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def play(library: Path):
    """Play scenes, one read each: what each read gave, and the facts at the end."""

    def run(*scenes: str) -> tuple[list[dict], dict]:
        told = subprocess.run(
            [sys.executable, "-c", PLAY, json.dumps(scenes)],
            env={**os.environ, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert told.returncode == 0, told.stderr
        readings, facts = json.loads(told.stdout)
        return readings, facts

    return run


def test_two_healthy_gpus(play):
    [read], facts = play("")
    assert read["gpu/0"] == {
        "gpu_state": "ok",
        "gpu_lost": 0,
        "gpu_name": "NVIDIA Fake 4000",
        "gpu_utilization_ratio": 0.37,
        "gpu_memory_activity_ratio": 0.12,
        "gpu_memory_used_bytes": 10 * 2**30,
        "gpu_memory_total_bytes": 40 * 2**30,
        "gpu_memory_used_ratio": 0.25,
        "gpu_temperature_celsius": 61,
        "gpu_power_watts": 71.5,
        "gpu_power_limit_watts": 140,
        "gpu_clock_sm_hertz": 1.41e9,
        "gpu_clock_sm_limit_hertz": 1.8e9,
        "gpu_clock_memory_hertz": 6.251e9,
        "gpu_performance_state": 2,
        "throttled": 0,
        "throttle_reasons": "",
        "gpu_idle_ratio": 0,
        "gpu_encoder_ratio": 0.05,
        "gpu_decoder_ratio": 0.4,
        "gpu_fan_ratio": 0.33,
        "gpu_ecc_corrected_total": 7,
        "gpu_ecc_uncorrected_total": 0,
        "gpu_pcie_generation": 4,
        "gpu_pcie_width": 16,
        "gpu_pcie_receive_bytes_per_second": 2_500_000,
        "gpu_pcie_transmit_bytes_per_second": 800_000,
        "gpu_own_memory_bytes": 3 * 2**20,
        "gpu_mig_mode": 0,
    }
    assert read["gpu/1"]["gpu_utilization_ratio"] == 0.38
    assert not {"gpu_fan_ratio", "gpu_own_memory_bytes"} & set(read["gpu/1"])
    assert facts == {
        "gpu_state": "ok",
        "gpu_count": 2,
        "gpu_driver_version": "570.86.15",
        "cuda_version": "12.8",
        **{f"gpu_{index}_name": "NVIDIA Fake 4000" for index in (0, 1)},
        **{f"gpu_{index}_uuid": f"GPU-0000-{index}" for index in (0, 1)},
        **{f"gpu_{index}_memory_bytes": 40 * 2**30 for index in (0, 1)},
    }


@pytest.mark.parametrize("scene", ["lost1", "handle1"])
def test_a_gpu_falls_off_the_bus_and_comes_back(play, scene):
    read, _ = play("", scene, scene, "", "")
    assert [one["gpu/1"]["gpu_state"] for one in read] == ["ok", "lost", "lost", "ok", "ok"]
    assert read[1]["gpu/1"] == {
        "gpu_state": "lost",
        "gpu_lost": 1,
        "gpu_state_reason": "the GPU fell off the bus (see dmesg for Xid errors)",
    }
    assert all(one["gpu/0"]["gpu_utilization_ratio"] == 0.37 for one in read)


def test_a_driver_upgraded_before_the_start(play):
    [read], facts = play("mismatch")
    assert read["gpu/0"]["gpu_state"] == "driver_mismatch"
    assert "reboot" in read["gpu/0"]["gpu_state_reason"]
    assert facts == {"gpu_state": "driver_mismatch"}


def test_a_driver_upgraded_while_running(play):
    read, facts = play("", "mismatch,mismatch_late", "mismatch,mismatch_late", "mismatch,mismatch_late", "")
    assert [[one[f"gpu/{gpu}"]["gpu_state"] for gpu in (0, 1)] for one in read[:4]] == [
        ["ok"] * 2,
        ["driver_mismatch"] * 2,
        ["driver_mismatch"] * 2,
        ["driver_mismatch"] * 2,
    ]
    assert facts["gpu_driver_version"] == "570.86.15"


def test_a_driver_that_is_unloaded_while_running(play):
    read, facts = play("", "unknown", "unknown", "unknown,unloaded", "unloaded", "")
    assert [one["gpu/0"]["gpu_state"] for one in read] == ["ok", "lost", "lost", "absent", "absent", "ok"]
    assert read[3]["gpu/1"]["gpu_state_reason"] == "the NVIDIA driver is not loaded"
    assert facts["gpu_state"] == "ok"


def test_no_driver_and_no_gpu_are_no_entity(play):
    for scene in ("unloaded", "none"):
        [read], facts = play(scene)
        assert set(read) == {"unavailable"}
        assert facts == {}


def test_a_driver_that_comes_up_late(play):
    read, facts = play("unloaded", "")
    assert "unavailable" in read[0]
    assert read[1]["gpu/0"]["gpu_state"] == "ok"
    assert facts["gpu_count"] == 2


def test_a_gpu_that_tells_little_is_well(play):
    read, _ = play("bare", "bare")
    for one in read:
        assert one["gpu/0"] == {
            "gpu_state": "ok",
            "gpu_lost": 0,
            "gpu_name": "NVIDIA Fake 4000",
            "gpu_memory_used_bytes": 10 * 2**30,
            "gpu_memory_total_bytes": 40 * 2**30,
            "gpu_memory_used_ratio": 0.25,
        }


def test_a_gpu_that_answers_nothing_is_lost(play):
    [read], _ = play("unknown")
    assert read["gpu/0"]["gpu_state"] == "lost"
    assert "answers nothing" in read["gpu/0"]["gpu_state_reason"]


def test_throttling_is_decoded(play):
    read, _ = play("throttle", "idle")
    first, second = (one["gpu/0"] for one in read)
    assert (first["throttled"], first["throttle_reasons"]) == (1, "power_cap,thermal_software")
    assert (second["throttled"], second["gpu_idle_ratio"]) == (0, 1)


def test_mig_instances_are_named(play):
    [read], _ = play("mig")
    gpu = read["gpu/0"]
    assert gpu["gpu_mig_mode"] == 1
    assert gpu["gpu_mig_0_name"] == "NVIDIA Fake 4000 MIG 1g.10gb"
    assert gpu["gpu_mig_2_memory_used_ratio"] == 0.25
    assert "gpu_mig_1_name" not in gpu  # an empty slot


def test_an_older_driver(play):
    [read], _ = play("old,throttle")
    assert read["gpu/0"]["throttled"] == 1
    assert read["gpu/0"]["gpu_own_memory_bytes"] == 3 * 2**20


@pytest.mark.parametrize("scene", ["", "mig", "throttle", "lost1"])
def test_everything_that_a_gpu_tells_is_exported(play, scene):
    [read], _ = play(scene)
    seen = [one for entity, values in read.items() for one in observations(entity, values, 0.0)]
    assert [one.metric for one in seen if find(one.metric) is None] == []
    named = {one.text for one in seen if one.metric.startswith("gpu.mig_") and one.metric != "gpu.mig_mode"}
    assert named == (
        {"NVIDIA Fake 4000 MIG 1g.10gb", "NVIDIA Fake 4000 MIG 3g.10gb"} if scene == "mig" else set()
    )


def test_every_throttle_bit():
    assert parse_throttle_reasons(0x1 | 0x2 | 0x10 | 0x100)["throttled"] == 0
    assert parse_throttle_reasons(0x7FF)["throttle_reasons"] == (
        "board_limit,hardware_slowdown,power_brake,power_cap,reliability,thermal_hardware,thermal_software"
    )


def test_only_some_errors_are_about_the_whole_gpu():
    assert failure_of(3) is None
    assert failure_of(999) is None
    assert [failure_of(code).state for code in (15, 16, 18, 9)] == [
        "lost",
        "lost",
        "driver_mismatch",
        "absent",
    ]


def test_cuda_versions():
    assert [parse_cuda_version(number) for number in (12080, 11040, 13000)] == ["12.8", "11.4", "13.0"]
