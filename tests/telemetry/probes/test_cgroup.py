"""The probe of limits: what it publishes, and that what it publishes is in the one table of metrics."""

from __future__ import annotations

import pytest

from agent.alerts.defaults import default_settings
from agent.core.cgroup import CgroupLimits
from agent.core.errors import ProbeUnavailable
from agent.core.metrics.catalogue import CATALOGUE
from agent.telemetry.probes.cgroup import CgroupProbe, limit_values

MOUNT = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
FILES = {
    "proc/self/cgroup": "0::/a\n",
    "proc/self/mountinfo": MOUNT,
    "sys/fs/cgroup/a/memory.max": "4096",
    "sys/fs/cgroup/a/memory.current": "1024",
    "sys/fs/cgroup/a/memory.events": "oom_kill 3",
    "sys/fs/cgroup/a/cpu.max": "200000 100000",
    **{
        f"sys/fs/cgroup/a/{name}.pressure": "some avg10=50.00 a\nfull avg10=25.00 a\n"
        for name in ("cpu", "memory", "io")
    },
}


def test_limits_pressure_and_kills_are_published_by_names_of_the_table(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    probe = CgroupProbe(tmp_path)
    probe.open()
    (reading,) = probe.read()
    assert reading.values == {
        "memory_limit_bytes": 4096,
        "memory_limit_used_ratio": 0.25,
        "cpu_limit_ratio": 2.0,
        "oom_kills_total": 3,
        **{f"pressure_{name}_some_ratio": 0.5 for name in ("cpu", "memory", "io")},
        **{f"pressure_{name}_full_ratio": 0.25 for name in ("cpu", "memory", "io")},
    }
    for name in reading.values:
        assert any(one.export and one.pattern().fullmatch(f"host.{name}") for one in CATALOGUE), name


def test_without_limits_and_counts_there_is_no_probe(tmp_path):
    with pytest.raises(ProbeUnavailable, match="pressure"):
        CgroupProbe(tmp_path).open()
    assert limit_values(CgroupLimits(oom_kills=0)) == {"oom_kills_total": 0}


def test_the_default_rules_warn_before_the_kill_and_after_it():
    rules = {one.name: one.when for one in default_settings()}
    assert rules["memory_limit"].startswith("host.memory_limit_used_ratio >")
    assert rules["memory_pressure"].startswith("host.pressure_memory_full_ratio >")
    assert "host.oom_kills_total" in rules["out_of_memory"]
