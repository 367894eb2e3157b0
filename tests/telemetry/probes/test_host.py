from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from agent.core import clock
from agent.telemetry.probes.host import (
    HostProbe,
    HostSample,
    chip_temperatures,
    existing,
    field_name,
    host_facts,
    host_values,
    parse_cpu_model,
    parse_os_name,
    read_cpu_clocks,
    read_host,
    traffic,
)
from tests.clocks import Machine

GIB = 2**30
BEFORE = HostSample(
    monotonic=100.0,
    cpu_busy=50.0,
    cpu_total=200.0,
    network=(1000, 500),
    process_cpu=3.0,
    uptime=600.0,
)


def test_this_machine():
    probe = HostProbe(Path("/tmp"))
    probe.open()
    sum(range(2_000_000))
    [reading] = probe.read()
    assert reading.entity == "host"
    values = reading.values
    assert 0 < values["memory_used_ratio"] < 1
    assert 0 < values["disk_used_ratio"] < 1
    assert 0 <= values["cpu_ratio"] <= 1
    assert values["process_memory_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert values["process_threads"] >= 1
    assert values["process_cpu_ratio"] > 0
    assert all(isinstance(value, (int, float)) for value in values.values())


def test_rates_are_differences_over_time():
    now = replace(
        BEFORE,
        monotonic=102.0,
        uptime=602.0,
        cpu_busy=51.0,
        cpu_total=204.0,
        network=(3000, 500),
        process_cpu=4.0,
    )
    values = host_values(now, BEFORE)
    assert values["cpu_ratio"] == 0.25
    assert values["process_cpu_ratio"] == 0.5
    assert values["network_receive_bytes_per_second"] == 1000
    assert values["network_transmit_bytes_per_second"] == 0
    assert values["uptime_seconds"] == 602


def test_no_rate_without_a_sample_before_or_from_a_counter_that_ran_back():
    assert not {"cpu_ratio", "network_receive_bytes_per_second"} & set(host_values(BEFORE, None))
    unplugged = replace(BEFORE, monotonic=101.0, network=(10, 600))
    values = host_values(unplugged, BEFORE)
    assert "network_receive_bytes_per_second" not in values
    assert values["network_transmit_bytes_per_second"] == 100
    assert "cpu_ratio" not in values


def test_memory_is_what_is_not_available():
    memory = SimpleNamespace(total=8 * GIB, available=6 * GIB)
    swap = SimpleNamespace(total=2 * GIB, used=GIB)
    values = host_values(replace(BEFORE, memory=memory, swap=swap), None)
    assert (values["memory_used_bytes"], values["memory_used_ratio"]) == (2 * GIB, 0.25)
    assert values["swap_used_ratio"] == 0.5
    assert "swap_used_ratio" not in host_values(replace(BEFORE, swap=SimpleNamespace(total=0, used=0)), None)


def test_the_disk_is_as_full_as_df_says():
    """What is reserved for root is neither used nor free."""
    disk = SimpleNamespace(total=100, used=45, free=45)
    values = host_values(replace(BEFORE, state_disk=disk, root_disk=disk), None)
    assert values["disk_used_ratio"] == values["root_disk_used_ratio"] == 0.5


def test_temperatures_by_chip_and_the_hottest():
    def sensor(celsius: float) -> SimpleNamespace:
        return SimpleNamespace(current=celsius)

    chips = {
        "coretemp": [sensor(50.0), sensor(61.0)],
        "cv0-thermal": [sensor(-256.0)],
        "PMIC-Die": [sensor(100.0)],
        "broken": [sensor(65261.85)],
    }
    found = chip_temperatures(chips)
    assert found == {"coretemp": 61.0}
    values = host_values(replace(BEFORE, temperatures=found), None)
    assert values["temperature_celsius"] == values["temperature_coretemp_celsius"] == 61.0


def test_the_loopback_is_no_traffic():
    counters = SimpleNamespace(bytes_recv=5, bytes_sent=7)
    assert traffic({"lo": counters, "eth0": counters, "wlan0": counters}) == (10, 14)


def test_clocks(tmp_path):
    for number, kilohertz in ((0, "1500000"), (4, "2500000"), (6, "<unknown>")):
        policy = tmp_path / f"devices/system/cpu/cpufreq/policy{number}"
        policy.mkdir(parents=True)
        (policy / "scaling_cur_freq").write_text(f"{kilohertz}\n")
    assert read_cpu_clocks(tmp_path) == (1.5e9, 2.5e9)
    assert host_values(replace(BEFORE, cpu_clocks=(1.5e9, 2.5e9)), None)["cpu_clock_hertz"] == 2e9


def test_a_state_directory_that_is_yet_to_be_made(tmp_path):
    assert existing(tmp_path / "a" / "b") == tmp_path


def test_facts_of_this_machine():
    facts = host_facts()
    assert facts["cpu_count"] == psutil.cpu_count()
    assert facts["memory_total_bytes"] == psutil.virtual_memory().total
    assert facts["kernel_version"]


def test_parsing():
    assert parse_cpu_model("processor\t: 0\nmodel name\t: Intel(R) N100\nflags: x\n") == "Intel(R) N100"
    assert parse_cpu_model("processor : 0\nBogoMIPS : 62.50\n") == ""
    assert parse_os_name('NAME="x"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n') == "Ubuntu 22.04.5 LTS"
    assert parse_os_name("") == ""
    assert field_name("CPU-therm (x)") == "cpu_therm_x"


def test_a_clock_that_is_set_changes_no_uptime(tmp_path, monkeypatch):
    box = Machine(up=clock.boottime())
    box.install(monkeypatch)
    first = read_host(psutil.Process(), tmp_path, temperatures=False)
    box.run(10)
    box.step(56 * 365 * 86400.0)
    second = read_host(psutil.Process(), tmp_path, temperatures=False)
    assert second.uptime - first.uptime == pytest.approx(10)
    assert second.process_start == first.process_start < first.uptime
