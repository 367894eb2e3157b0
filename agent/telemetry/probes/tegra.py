"""NVIDIA Jetson (Tegra) through sysfs: no daemon, no NVML, no root but for the memory controller's load.

Every path is below a root that is given, so that recorded trees of real boards can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config.schema import TelemetrySettings
from agent.core.errors import ProbeUnavailable
from agent.core.types import Scalar
from agent.telemetry import Reading, Values
from agent.telemetry.probes.host import read_text, temperature_values
from agent.telemetry.probes.tegra_parse import (
    Channel,
    parse_integer,
    parse_l4t,
    parse_power_mode,
    power_values,
    throttle_values,
    zone_temperatures,
)

GPU_NODES = ("gv11b", "gp10b", "ga10b", "gb10b", "gpu")
"""Names (or parts) of the GPU's device-tree node: Xavier, TX2, Orin, Thor, and newer kernels."""

GPU_NAME = "Tegra GPU"

_RELEASE = "etc/nv_tegra_release"
_EMC_RATES = ("sys/kernel/debug/bpmp/debug/clk/emc/rate", "sys/class/devfreq/bwmgr/cur_freq")
_EMC_LOADS = (
    "sys/kernel/debug/cactmon/mc_all",
    "sys/kernel/debug/bpmp/debug/actmon/mc_all_avg_activity",
    "sys/kernel/actmon_avg_activity/mc_all",
)


@dataclass(frozen=True, slots=True)
class _Board:
    """Where this board keeps what: found once, read every second."""

    gpu: Path | None
    zones: tuple[Path, ...]
    monitors: tuple[Path, ...]  # INA3221 and INA238 power monitors
    over_current: tuple[Path, ...]
    alerts: tuple[Path, ...]  # cooling devices that throttle


class TegraProbe:
    """GPU, memory controller, thermal zones, power rails and throttling of a Jetson: `gpu/0` and `host`."""

    def __init__(self, root: Path = Path("/"), *, temperatures: bool = True) -> None:
        self._root, self._temperatures = root, temperatures
        self._board: _Board | None = None
        self._events: Mapping[str, int] = {}
        self._facts: Mapping[str, Scalar] = {}

    @classmethod
    def of(cls, settings: TelemetrySettings, state_directory: Path) -> TegraProbe:  # noqa: ARG003  (the protocol's)
        """The probe as configured."""
        return cls(temperatures=settings.temperatures)

    def open(self) -> None:
        """Find the board's parts. Raises ProbeUnavailable if this is no Jetson."""
        if not (self._root / _RELEASE).exists() and "tegra" not in self._compatible():
            raise ProbeUnavailable("this is not a Jetson")
        self._board = find_board(self._root)
        self._events = self._read_events(self._board)
        self._facts = self._read_facts()

    def read(self) -> list[Reading]:
        """The board as host, and its GPU."""
        if self._board is None:
            raise ProbeUnavailable("not open")
        if self._board.gpu is None:
            self._board = find_board(self._root)  # the GPU's driver comes up late at boot
        return [
            Reading(entity="host", values=self._host(self._board)),
            Reading(entity="gpu/0", values=self._gpu(self._board)),
        ]

    def facts(self) -> Mapping[str, Scalar]:
        """JetPack, L4T, model and power mode."""
        return self._facts

    def close(self) -> None:
        """Forget the board."""
        self._board = None

    def _host(self, board: _Board) -> Values:
        values: Values = dict(power_values(read_channels(board.monitors)))
        if self._temperatures:
            values |= temperature_values(self._zones(board))
        values |= self._emc()
        values["power_mode_name"] = self._power_mode()
        return values

    def _gpu(self, board: _Board) -> Values:
        values: Values = {"gpu_state": "ok", "gpu_lost": 0, "gpu_name": GPU_NAME}
        if board.gpu is not None:
            values |= read_gpu(board.gpu)
        zones = self._zones(board) if self._temperatures else {}
        hottest = [value for name, value in zones.items() if name.startswith("gpu")]
        if hottest:
            values["gpu_temperature_celsius"] = max(hottest)
        events = self._read_events(board)
        cooling = {
            read_text(path / "type"): parse_integer(read_text(path / "cur_state")) for path in board.alerts
        }
        values |= throttle_values(events, self._events, cooling)
        self._events = events
        return values

    def _zones(self, board: _Board) -> dict[str, float]:
        return zone_temperatures((read_text(zone / "type"), read_text(zone / "temp")) for zone in board.zones)

    def _read_events(self, board: _Board) -> dict[str, int]:
        """Over-current events since boot, by counter: `oc1_event_cnt`."""
        events = {}
        for folder in board.over_current:
            for path in sorted(folder.glob("oc*_event_cnt")):
                count = parse_integer(read_text(path))
                if count is not None:
                    events[path.name] = count
        return events

    def _emc(self) -> Values:
        """Clock and load of the memory controller; debugfs needs root, so often there is neither."""
        rate = next(filter(None, (parse_integer(read_text(self._root / path)) for path in _EMC_RATES)), None)
        if not rate:
            return {}
        values: Values = {"emc_clock_hertz": rate}
        active = next(
            (
                one
                for one in (parse_integer(read_text(self._root / path)) for path in _EMC_LOADS)
                if one is not None
            ),
            None,
        )
        if active is not None:
            values["emc_utilization_ratio"] = min(1.0, active * 1000 / rate)
        return values

    def _power_mode(self) -> str:
        return parse_power_mode(
            read_text(self._root / "var/lib/nvpmodel/status"), read_text(self._root / "etc/nvpmodel.conf")
        )

    def _compatible(self) -> str:
        return read_text(self._root / "proc/device-tree/compatible")

    def _read_facts(self) -> Mapping[str, Scalar]:
        l4t, jetpack = parse_l4t(read_text(self._root / _RELEASE))
        facts: dict[str, Scalar] = {
            "l4t_version": l4t,
            "jetpack_version": jetpack,
            "jetson_model": read_text(self._root / "proc/device-tree/model"),
            "power_mode_name": self._power_mode(),
            "gpu_count": 1,
            "gpu_0_name": GPU_NAME,
        }
        return {name: value for name, value in facts.items() if value}


def find_board(root: Path) -> _Board:
    """Look through sysfs under `root`."""
    monitors = {path.parent: read_text(path) for path in sorted(root.glob("sys/class/hwmon/hwmon*/name"))}
    coolers = sorted(root.glob("sys/class/thermal/cooling_device*"))
    return _Board(
        gpu=find_gpu(root),
        zones=tuple(sorted(root.glob("sys/class/thermal/thermal_zone*"))),
        monitors=tuple(path for path, name in monitors.items() if name in ("ina3221", "ina238")),
        over_current=tuple(path for path, name in monitors.items() if name == "soctherm_oc"),
        alerts=tuple(path for path in coolers if read_text(path / "type").endswith("throttle-alert")),
    )


def find_gpu(root: Path) -> Path | None:
    """The GPU among the frequency-scaled devices: by its device-tree node, or by its own name (Thor)."""
    for device in sorted(root.glob("sys/class/devfreq/*")):
        node = read_text(device / "device/of_node/name")
        if any(name in node for name in GPU_NODES) or device.name.startswith("gpu-gpc"):
            return device
    return None


def read_gpu(device: Path) -> Values:
    """Load (sysfs gives thousandths) and clocks of a devfreq device."""
    values: Values = {}
    for load in (device / "device/load", device / "load"):
        thousandths = parse_integer(read_text(load))
        if thousandths is not None:
            values["gpu_utilization_ratio"] = min(1.0, thousandths / 1000)
            break
    for field, name in (("gpu_clock_sm_hertz", "cur_freq"), ("gpu_clock_sm_limit_hertz", "max_freq")):
        clock = parse_integer(read_text(device / name))
        if clock is not None:
            values[field] = clock
    return values


def read_channels(monitors: tuple[Path, ...]) -> list[Channel]:
    """Every channel of the power monitors that has a label, or (INA238) measures the power itself."""
    channels = []
    for folder in monitors:
        for number in (1, 2, 3):
            label = read_text(folder / f"in{number}_label")
            if not label or read_text(folder / f"in{number}_enable") == "0":
                continue
            millivolts = parse_integer(read_text(folder / f"in{number}_input"))
            milliamperes = parse_integer(read_text(folder / f"curr{number}_input"))
            if millivolts is not None and milliamperes is not None:
                channels.append(Channel(label, millivolts * milliamperes / 1e6))
        microwatts = parse_integer(read_text(folder / "power1_input"))
        if microwatts is not None:
            channels.append(Channel("VIN", microwatts / 1e6))
    return channels
