from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from agent.config.schema import TelemetrySettings
from agent.core.errors import ProbeUnavailable
from agent.telemetry import Reading
from agent.telemetry import probe_thread as worker
from agent.telemetry.probes.host import HostProbe
from agent.telemetry.sampler import Sampler, load_probes, observations
from tests.waiting import wait_until

FAST = TelemetrySettings(interval=0.2)


class Script:
    """A probe that does what its function says at each read."""

    def __init__(self, act: Callable[[int], list[Reading]], *, present: bool = True) -> None:
        self.act, self.present = act, present
        self.reads = self.tries = self.opened = self.closed = 0

    def open(self) -> None:
        self.tries += 1
        if not self.present:
            raise ProbeUnavailable("not there")
        self.opened += 1

    def read(self) -> list[Reading]:
        self.reads += 1
        return self.act(self.reads)

    def facts(self) -> Mapping[str, str]:
        return {"script": "yes"}

    def close(self) -> None:
        self.closed += 1


def host(number: int) -> list[Reading]:
    return [Reading(entity="host", values={"x_ratio": number})]


def gpu(_: int) -> list[Reading]:
    values = {"gpu_power_watts": 40.0, "gpu_state": "ok", "throttled": 1, "throttle_reasons": "power_cap"}
    return [Reading(entity="gpu/0", values=values)]


@contextmanager
def running(sampler: Sampler) -> Iterator[Sampler]:
    stop = threading.Event()
    thread = threading.Thread(target=sampler.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield sampler
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def test_windows_observations_and_facts():
    one, other = Script(host), Script(gpu)
    with running(Sampler(FAST, Path("/tmp"), {"one": one, "other": other})) as sampler:
        wait_until(lambda: min(one.reads, other.reads) >= 3)
        wait_until(lambda: len(sampler.latest()) == 5)
        latest = {seen.metric: seen for seen in sampler.latest()}
        summaries = {summary.entity: summary.values for summary in sampler.take_window()}
        assert sampler.facts() == {"script": "yes"}
        assert sampler.silent_seconds() < 1
    costs = {"host.probe_one_seconds", "host.probe_other_seconds"}
    assert set(latest) == {"host.x_ratio", "gpu.power_watts", "gpu.throttled", *costs}
    assert latest["gpu.throttled"].labels == {"gpu": "0"}
    assert latest["gpu.throttled"].text == "power_cap"
    assert abs(latest["gpu.throttled"].at - time.time()) < 5
    assert summaries["gpu/0"]["gpu_power_max_watts"] == 40
    assert summaries["gpu/0"]["gpu_state"] == "ok"
    assert summaries["host"]["probe_one_success_ratio"] == 1
    assert 0 <= summaries["host"]["probe_other_seconds"] < 0.5
    assert one.closed == other.closed == 1


def test_a_window_is_taken_once():
    sampler = Sampler(FAST, Path("/tmp"), {"one": Script(host)})
    with running(sampler):
        wait_until(sampler.latest)
    assert sampler.take_window()
    assert sampler.take_window() == []


def test_a_hung_probe_holds_up_nobody_and_is_counted(monkeypatch):
    monkeypatch.setattr("agent.telemetry.sampler.STUCK_SECONDS", 0.5)
    release = threading.Event()

    def hang(number: int) -> list[Reading]:
        if number > 1:
            release.wait(20)
        return gpu(number)

    well, hung = Script(host), Script(hang)
    with running(Sampler(FAST, Path("/tmp"), {"well": well, "hung": hung})) as sampler:
        wait_until(lambda: hung.reads == 2)
        before = well.reads
        wait_until(lambda: well.reads >= before + 4, 4)
        wait_until(lambda: not [seen for seen in sampler.latest() if seen.metric.startswith("gpu.")])
        assert [seen.metric for seen in sampler.latest()] == ["host.x_ratio", "host.probe_well_seconds"]
        values = {one.entity: one.values for one in sampler.take_window()}["host"]
        assert 0 < values["probe_hung_success_ratio"] < 1
        assert values["probe_hung_failures_total"] >= 3
        assert values["probe_well_success_ratio"] == 1
        release.set()
        wait_until(lambda: [seen for seen in sampler.latest() if seen.metric == "gpu.power_watts"])


def test_a_hung_probe_does_not_hold_up_the_end():
    release = threading.Event()
    hung = Script(lambda _: release.wait(30) or [])
    with running(Sampler(FAST, Path("/tmp"), {"hung": hung})):  # it ends in time, or this fails
        wait_until(lambda: hung.reads)
    release.set()


def test_what_is_not_there_is_no_failure():
    absent = Script(host, present=False)
    with running(Sampler(FAST, Path("/tmp"), {"absent": absent, "well": Script(host)})) as sampler:
        wait_until(sampler.latest)
        [summary] = sampler.take_window()
    assert not [name for name in summary.values if "absent" in name]


def test_a_probe_that_is_slow_to_say_that_nothing_is_there_hangs_not(monkeypatch):
    """On a busy box without a Jetson the journal had: probe does not answer, probe=tegra."""
    monkeypatch.setattr("agent.telemetry.sampler.STUCK_SECONDS", 1.0)
    monkeypatch.setattr(worker, "LOOK_AGAIN_SECONDS", 0.5)
    absent = Script(host, present=False)
    look = absent.open
    absent.open = lambda: (time.sleep(0.3), look())
    with structlog.testing.capture_logs() as logs, running(Sampler(FAST, Path("/tmp"), {"absent": absent})):
        wait_until(lambda: absent.tries >= 4, 20)
    assert not [each for each in logs if each["event"] == "probe does not answer"]


def test_a_probe_that_comes_up_late_is_found(monkeypatch):
    monkeypatch.setattr(worker, "LOOK_AGAIN_SECONDS", 0.1)
    late = Script(host, present=False)
    with running(Sampler(FAST, Path("/tmp"), {"late": late})) as sampler:
        wait_until(lambda: late.tries >= 3)
        assert sampler.latest() == []
        late.present = True
        wait_until(sampler.latest)


def test_a_probe_whose_device_goes_is_closed_and_looked_for_again(monkeypatch):
    monkeypatch.setattr(worker, "LOOK_AGAIN_SECONDS", 0.1)

    def vanish(number: int) -> list[Reading]:
        if number == 2:
            raise ProbeUnavailable("gone")
        return host(number)

    probe = Script(vanish)
    with running(Sampler(FAST, Path("/tmp"), {"probe": probe})):
        wait_until(lambda: probe.opened == 2 and probe.reads >= 3)
    assert probe.closed == 2


def test_a_defect_of_one_probe_is_counted_and_the_others_go_on():
    def trip(number: int) -> list[Reading]:
        if number == 1:
            raise ZeroDivisionError("a defect")
        return host(number)

    defect, well = Script(trip), Script(gpu)
    with running(Sampler(FAST, Path("/tmp"), {"defect": defect, "well": well})) as sampler:
        wait_until(lambda: defect.reads >= 2 and well.reads >= 2)
        wait_until(lambda: {one.metric for one in sampler.latest()} >= {"host.x_ratio", "gpu.power_watts"})
        assert sampler.discarded == 1


def test_settings_choose_the_probes():
    assert list(load_probes(TelemetrySettings(), Path("/tmp"))) == ["host", "cgroup", "tegra", "nvml"]
    assert "nvml" not in load_probes(TelemetrySettings(gpu=False), Path("/tmp"))


def test_the_real_host_at_one_hertz():
    sampler = Sampler(FAST, Path("/tmp"), {"host": HostProbe(Path("/tmp"))})
    with running(sampler):
        wait_until(lambda: any(seen.metric == "host.cpu_ratio" for seen in sampler.latest()))
    [summary] = sampler.take_window()
    assert summary.values["memory_used_max_ratio"] >= summary.values["memory_used_ratio"] > 0
    assert sampler.facts()["cpu_count"] >= 1


def test_observations_are_named_as_rules_name_them():
    values = {"gpu_temperature_celsius": 61, "gpu_lost": 1, "gpu_state": "lost", "gpu_state_reason": "why"}
    told = observations("gpu/1", values, 5.0)
    assert [(one.metric, one.value, dict(one.labels), one.text) for one in told] == [
        ("gpu.temperature_celsius", 61.0, {"gpu": "1"}, ""),
        ("gpu.lost", 1.0, {"gpu": "1"}, "why"),
    ]
    assert [one.metric for one in observations("host", {"cpu_ratio": 1}, 5.0)] == ["host.cpu_ratio"]
