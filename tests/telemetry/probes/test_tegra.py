"""The Jetson probe on trees of three boards (see trees/README.md)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.core.errors import ProbeUnavailable
from agent.telemetry.probes.tegra import TegraProbe
from agent.telemetry.probes.tegra_parse import (
    Channel,
    parse_integer,
    parse_l4t,
    parse_power_mode,
    power_values,
    throttle_values,
    zone_temperatures,
)

TREES = Path(__file__).parents[1] / "trees"


def read(root: Path, **options: bool) -> tuple[dict, dict, dict]:
    """(host, gpu, facts) of the board under `root`."""
    probe = TegraProbe(root, **options)
    probe.open()
    entities = {reading.entity: dict(reading.values) for reading in probe.read()}
    return entities["host"], entities["gpu/0"], dict(probe.facts())


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """A copy of the Orin that may be changed."""
    return Path(shutil.copytree(TREES / "orin", tmp_path / "orin"))


def test_orin():
    host, gpu, facts = read(TREES / "orin")
    assert facts == {
        "l4t_version": "36.4.3",
        "jetpack_version": "6.2",
        "jetson_model": "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        "power_mode_name": "15W",
        "gpu_count": 1,
        "gpu_0_name": "Tegra GPU",
    }
    assert gpu["gpu_utilization_ratio"] == pytest.approx(0.374)
    assert (gpu["gpu_clock_sm_hertz"], gpu["gpu_clock_sm_limit_hertz"]) == (612_000_000, 918_000_000)
    assert gpu["gpu_temperature_celsius"] == pytest.approx(49.312)
    assert (gpu["throttled"], gpu["throttle_reasons"], gpu["over_current_events_total"]) == (0, "", 13)
    assert host["temperature_celsius"] == pytest.approx(51.437)
    assert not {name for name in host if "cv" in name and "celsius" in name}  # powered down
    assert host["power_watts"] == pytest.approx(5.056 * 1.432)  # VDD_IN, not the sum
    assert host["power_vdd_cpu_gpu_cv_watts"] == pytest.approx(5.056 * 0.312)
    assert "power_sum_of_shunt_voltages_watts" not in host
    assert host["emc_clock_hertz"] == 2_133_000_000
    assert host["emc_utilization_ratio"] == pytest.approx(0.15)


def test_xavier():
    host, gpu, facts = read(TREES / "xavier")
    assert (facts["l4t_version"], facts["jetpack_version"]) == ("35.4.1", "5.1.2")
    assert facts["power_mode_name"] == "MAXN"
    assert gpu["gpu_utilization_ratio"] == 1
    assert (gpu["throttled"], gpu["throttle_reasons"]) == (1, "thermal_gpu")
    assert host["temperature_celsius"] == pytest.approx(63)  # not the 100 °C of the PMIC
    assert host["power_watts"] == pytest.approx(19.2 * (0.712 + 0.3 + 0.15 + 0.07 + 0.14))
    assert "emc_clock_hertz" not in host  # debugfs not readable


def test_thor():
    host, gpu, facts = read(TREES / "thor")
    assert (facts["jetpack_version"], facts["power_mode_name"]) == ("7.0", "120W")
    assert gpu["gpu_clock_sm_hertz"] == 1_098_000_000
    assert "gpu_utilization_ratio" not in gpu  # left to NVML
    assert host["power_watts"] == pytest.approx(34.965)
    assert host["power_vdd_gpu_watts"] == pytest.approx(11.904 * 0.64)
    assert host["emc_clock_hertz"] == 4_266_000_000


def test_over_current_throttles_when_a_counter_moves(orin):
    probe = TegraProbe(orin)
    probe.open()
    counter = orin / "sys/class/hwmon/hwmon3/oc3_event_cnt"
    assert probe.read()[1].values["throttled"] == 0
    counter.write_text("14\n")
    values = probe.read()[1].values
    assert (values["throttled"], values["throttle_reasons"]) == (1, "over_current")
    assert probe.read()[1].values["throttled"] == 0


def test_a_gpu_that_comes_up_late_is_found(orin):
    devfreq = orin / "sys/class/devfreq"
    devfreq.rename(orin / "later")
    probe = TegraProbe(orin)
    probe.open()
    assert "gpu_clock_sm_hertz" not in probe.read()[1].values
    (orin / "later").rename(devfreq)
    assert probe.read()[1].values["gpu_clock_sm_hertz"] == 612_000_000


def test_whatever_is_missing_is_left_out(orin):
    """Each file in turn vanishes: the rest is still read."""
    for path in sorted(path for path in orin.rglob("*") if path.is_file() and "nv_tegra" not in path.name):
        kept = path.read_bytes()
        path.unlink()
        read(orin)
        path.write_bytes(b"rubbish\n")
        read(orin)
        path.write_bytes(kept)


def test_no_jetson(tmp_path):
    with pytest.raises(ProbeUnavailable):
        TegraProbe(tmp_path).open()


def test_temperatures_can_be_switched_off():
    host, gpu, _ = read(TREES / "orin", temperatures=False)
    assert not [name for name in (*host, *gpu) if name.endswith("celsius")]


def test_zones_that_are_offline_or_constant_are_left_out():
    zones = [
        ("CPU-therm", "45000"),
        ("cv0-thermal", "-256000"),
        ("PMIC-Die", "100000"),
        ("x", ""),
        ("y", "?"),
    ]
    assert zone_temperatures(zones) == {"cpu": 45.0}


def test_rails_that_are_not_connected_carry_nothing():
    assert power_values([Channel("NC", 3.0), Channel("VDD_CPU", 2.0)]) == {
        "power_vdd_cpu_watts": 2.0,
        "power_watts": 2.0,
    }
    assert power_values([]) == {}


def test_a_counter_seen_for_the_first_time_is_no_event():
    assert throttle_values({"oc1_event_cnt": 5}, {}, {})["throttled"] == 0


@pytest.mark.parametrize(
    ("status", "config", "name"),
    [
        ("pmode:0002", "< POWER_MODEL ID=2 NAME=15W >", "15W"),
        ("pmode:0009", "< POWER_MODEL ID=2 NAME=15W >", "9"),
        ("pmode:0000", "", "0"),
        ("", "< POWER_MODEL ID=2 NAME=15W >", ""),
    ],
)
def test_power_modes(status, config, name):
    assert parse_power_mode(status, config) == name


@pytest.mark.parametrize(
    ("release", "versions"),
    [
        ("# R36 (release), REVISION: 3.0, GCID: 1", ("36.3.0", "6.0")),
        ("# R36 (release), REVISION: 4.4, GCID: 1", ("36.4.4", "6.2.1")),
        ("# R99 (release), REVISION: 1.0, GCID: 1", ("99.1.0", "")),
        ("something else", ("", "")),
    ],
)
def test_releases(release, versions):
    assert parse_l4t(release) == versions


def test_integers():
    assert [parse_integer(text) for text in ("12\n", "-3", "32760 ma", "", "x")] == [
        12,
        -3,
        32760,
        None,
        None,
    ]
