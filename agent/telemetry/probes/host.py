"""The host and the agent's own process, through psutil."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import psutil

from agent.config.schema import TelemetrySettings
from agent.core import clock
from agent.core.types import Scalar
from agent.telemetry import Reading, Values

T = TypeVar("T")

COLDEST, HOTTEST = -40.0, 150.0
"""Degrees Celsius outside which a sensor is offline or broken (Tegra says -256)."""

CLOCK_POLICIES = 8
"""CPU clocks read at most: each costs an interrupt to its core on some processors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """Values of psutil at one moment; None or {} for what this host does not provide.

    `monotonic` and `cpu_*` and `process_cpu` are seconds, counters since boot or since the process began.
    """

    monotonic: float
    cpu_busy: float
    cpu_total: float
    cpu_clocks: tuple[float, ...] = ()
    load: tuple[float, float, float] | None = None
    memory: Any = None
    swap: Any = None
    state_disk: Any = None
    root_disk: Any = None
    network: tuple[int, int] | None = None
    temperatures: Mapping[str, float] = field(default_factory=dict)
    uptime: float | None = None
    process_cpu: float | None = None
    process_memory: int | None = None
    process_threads: int | None = None
    process_files: int | None = None
    process_start: float | None = None


class HostProbe:
    """Processor, memory, disks, network, temperatures, and what the agent itself takes of them."""

    def __init__(self, state_directory: Path, *, temperatures: bool = True) -> None:
        self._directory, self._temperatures = state_directory, temperatures
        self._process = psutil.Process()
        self._before: HostSample | None = None

    @classmethod
    def of(cls, settings: TelemetrySettings, state_directory: Path) -> HostProbe:
        """The probe as configured."""
        return cls(state_directory, temperatures=settings.temperatures)

    def open(self) -> None:
        """Take the first sample: rates need two."""
        self._before = self._sample()

    def read(self) -> list[Reading]:
        """The host since the last call."""
        now = self._sample()
        values = host_values(now, self._before)
        self._before = now
        return [Reading(entity="host", values=values)]

    def facts(self) -> Mapping[str, Scalar]:
        """What this machine is."""
        return host_facts()

    def close(self) -> None:
        """Nothing is held."""

    def _sample(self) -> HostSample:
        return read_host(self._process, self._directory, temperatures=self._temperatures)


def read_host(process: psutil.Process, state_directory: Path, *, temperatures: bool) -> HostSample:
    """Ask psutil, each thing by itself: what a kernel or container hides does not hide the rest."""
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    cpu = _ask(process.cpu_times)
    memory = _ask(process.memory_info)
    return HostSample(
        monotonic=clock.monotonic(),
        cpu_busy=total - idle,
        cpu_total=total,
        cpu_clocks=read_cpu_clocks(Path("/sys")),
        load=_ask(os.getloadavg),
        memory=_ask(psutil.virtual_memory),
        swap=_ask(psutil.swap_memory),
        state_disk=_ask(lambda: psutil.disk_usage(str(existing(state_directory)))),
        root_disk=_ask(lambda: psutil.disk_usage("/")),
        network=_ask(lambda: traffic(psutil.net_io_counters(pernic=True))),
        temperatures=(_ask(lambda: chip_temperatures(psutil.sensors_temperatures())) or {})
        if temperatures
        else {},
        uptime=clock.boottime(),
        process_cpu=cpu.user + cpu.system if cpu else None,
        process_memory=memory.rss if memory else None,
        process_threads=_ask(process.num_threads),
        process_files=_ask(process.num_fds),
        process_start=_ask(process_start),
    )


def host_values(now: HostSample, before: HostSample | None) -> Values:
    """The published numbers of a sample; rates where there is one before it."""
    values: Values = {}
    if now.load:
        values |= {"load_1m": now.load[0], "load_5m": now.load[1], "load_15m": now.load[2]}
    if now.cpu_clocks:
        values["cpu_clock_hertz"] = sum(now.cpu_clocks) / len(now.cpu_clocks)
    if now.memory:
        values["memory_used_bytes"] = now.memory.total - now.memory.available
        values["memory_available_bytes"] = now.memory.available
        values["memory_used_ratio"] = 1 - now.memory.available / now.memory.total
    if now.swap and now.swap.total:
        values["swap_used_bytes"] = now.swap.used
        values["swap_used_ratio"] = now.swap.used / now.swap.total
    for prefix, disk in (("disk", now.state_disk), ("root_disk", now.root_disk)):
        if disk and disk.total:
            values[f"{prefix}_used_bytes"] = disk.used
            values[f"{prefix}_free_bytes"] = disk.free
            values[f"{prefix}_used_ratio"] = disk.used / max(1, disk.used + disk.free)
    values |= temperature_values(now.temperatures)
    if now.uptime is not None:
        values["uptime_seconds"] = now.uptime
    return values | _process_values(now) | (_rates(now, before) if before else {})


def _process_values(now: HostSample) -> Values:
    values: Values = {}
    if now.process_memory is not None:
        values["process_memory_bytes"] = now.process_memory
    if now.process_threads is not None:
        values["process_threads"] = now.process_threads
    if now.process_files is not None:
        values["process_files"] = now.process_files
    if now.process_start is not None and now.uptime is not None:
        values["process_uptime_seconds"] = max(0.0, now.uptime - now.process_start)
    return values


def _rates(now: HostSample, before: HostSample) -> Values:
    """What needs two samples. Counters that ran backwards (an interface went away) give no rate."""
    values: Values = {}
    seconds = now.monotonic - before.monotonic
    total = now.cpu_total - before.cpu_total
    if total > 0:
        values["cpu_ratio"] = min(1.0, max(0.0, (now.cpu_busy - before.cpu_busy) / total))
    if seconds <= 0:
        return values
    if now.process_cpu is not None and before.process_cpu is not None:
        values["process_cpu_ratio"] = max(0.0, now.process_cpu - before.process_cpu) / seconds
    if now.network and before.network:
        for name, new, old in zip(("receive", "transmit"), now.network, before.network, strict=True):
            if new >= old:
                values[f"network_{name}_bytes_per_second"] = (new - old) / seconds
    return values


def temperature_values(temperatures: Mapping[str, float]) -> Values:
    """`temperature_<chip>_celsius` of each, and `temperature_celsius` of the hottest."""
    values: Values = {f"temperature_{name}_celsius": value for name, value in temperatures.items()}
    if temperatures:
        values["temperature_celsius"] = max(temperatures.values())
    return values


def chip_temperatures(chips: Mapping[str, Any]) -> dict[str, float]:
    """The hottest plausible sensor of each chip, in degrees Celsius, by a name fit for a field."""
    found: dict[str, float] = {}
    for chip, sensors in chips.items():
        plausible = [float(one.current) for one in sensors if COLDEST < one.current < HOTTEST]
        if plausible and "pmic" not in chip.lower():  # Tegra's PMIC says 100 °C for ever
            found[field_name(chip)] = max(plausible)
    return found


def field_name(text: str) -> str:
    """`CPU-therm` as part of a field's name: `cpu_therm`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def traffic(interfaces: Mapping[str, Any]) -> tuple[int, int]:
    """(received, sent) bytes over all interfaces but the loopback."""
    outside = [counters for name, counters in interfaces.items() if name != "lo"]
    return sum(one.bytes_recv for one in outside), sum(one.bytes_sent for one in outside)


def process_start(proc: Path = Path("/proc")) -> float:
    """When this process started, in seconds since the boot (proc(5), field 22 of `stat`): no clock that is set."""
    after_name = (proc / "self/stat").read_text().rpartition(")")[2].split()
    return int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def read_cpu_clocks(sys: Path) -> tuple[float, ...]:
    """Current clocks in hertz of up to CLOCK_POLICIES groups of cores."""
    clocks = []
    for policy in sorted((sys / "devices/system/cpu/cpufreq").glob("policy*"))[:CLOCK_POLICIES]:
        text = read_text(policy / "scaling_cur_freq")
        if text.isdigit():
            clocks.append(int(text) * 1000.0)
    return tuple(clocks)


def read_text(path: Path) -> str:
    """What a small file of /sys or /proc says, stripped; "" where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip().rstrip("\0")
    except OSError:
        return ""


def existing(directory: Path) -> Path:
    """The directory, or its nearest parent that exists."""
    return next((path for path in (directory, *directory.parents) if path.exists()), Path("/"))


@lru_cache(maxsize=1)
def host_facts() -> Mapping[str, Scalar]:
    """What this machine is; read once."""
    memory = _ask(psutil.virtual_memory)
    facts: dict[str, Scalar] = {
        "cpu_model": parse_cpu_model(read_text(Path("/proc/cpuinfo"))) or platform.machine(),
        "cpu_count": psutil.cpu_count() or 0,
        "cpu_core_count": _ask(lambda: psutil.cpu_count(logical=False)) or 0,
        "memory_total_bytes": memory.total if memory else None,
        "machine_model": read_text(Path("/proc/device-tree/model"))
        or read_text(Path("/sys/class/dmi/id/product_name")),
        "architecture": platform.machine(),
        "kernel_version": platform.release(),
        "os_name": parse_os_name(read_text(Path("/etc/os-release"))) or platform.system(),
        "python_version": platform.python_version(),
    }
    return {name: value for name, value in facts.items() if value not in (None, "", 0)}


def parse_cpu_model(cpuinfo: str) -> str:
    """The processor's name out of /proc/cpuinfo ("" on most ARM kernels)."""
    found = re.search(r"^(?:model name|Hardware|cpu model)\s*:\s*(.+)$", cpuinfo, flags=re.MULTILINE)
    return found[1].strip() if found else ""


def parse_os_name(release: str) -> str:
    """PRETTY_NAME out of /etc/os-release."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', release, flags=re.MULTILINE)
    return found[1] if found else ""


def _ask(question: Callable[[], T]) -> T | None:
    """The answer, or None where this host gives none."""
    try:
        return question()
    except (OSError, psutil.Error, ValueError, AttributeError, RuntimeError, NotImplementedError):
        return None
