"""What NVML's answers mean: pure functions from its numbers and structures to published values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.telemetry import Values
from agent.telemetry.window import join_reasons

UNSUPPORTED = frozenset({2, 3, 4, 13, 25, 26})
"""Errors that say "not on this GPU or driver": invalid argument, not supported, no permission, function not
found, version mismatch of an argument, deprecated."""

_LOST = {
    15: "the GPU fell off the bus (see dmesg for Xid errors)",
    16: "the GPU must be reset",
    28: "NVML no longer finds this GPU",
}
_ABSENT = {1: "NVML is not up", 9: "the NVIDIA driver is not loaded", 12: "there is no NVIDIA driver library"}
_MISMATCH = 18

THROTTLE_BITS = {
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x20: "thermal_software",
    0x40: "thermal_hardware",
    0x80: "power_brake",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Bits that slow the GPU down against its will. Not among them: idle (0x1), clocks set by the operator (0x2),
sync boost (0x10), display clocks (0x100)."""

IDLE_BIT = 0x1


@dataclass(frozen=True, slots=True)
class NvmlFailure:
    """Why a GPU does not answer: a state of nvml.py's table, and a line for people."""

    state: str
    reason: str

    def values(self) -> Values:
        """What is published of such a GPU."""
        return {"gpu_state": self.state, "gpu_state_reason": self.reason, "gpu_lost": 1}


def failure_of(code: int) -> NvmlFailure | None:
    """What the error `code` says of the whole GPU; None if it concerns the one question only."""
    if code in _LOST:
        return NvmlFailure("lost", _LOST[code])
    if code == _MISMATCH:
        return NvmlFailure("driver_mismatch", "the driver was upgraded while in use: reboot needed")
    if code in _ABSENT:
        return NvmlFailure("absent", _ABSENT[code])
    return None


def failure_of_start(code: int, message: str) -> NvmlFailure:
    """What it means that NVML did not start."""
    return failure_of(code) or NvmlFailure("lost", f"NVML does not start: {message}")


def parse_throttle_reasons(bits: int) -> Values:
    """`throttled` 0 or 1, its reasons, and whether the GPU idles (its clocks are low, then, by choice)."""
    reasons = [name for bit, name in THROTTLE_BITS.items() if bits & bit]
    return {
        "throttled": int(bool(reasons)),
        "throttle_reasons": join_reasons(reasons),
        "gpu_idle_ratio": int(bool(bits & IDLE_BIT)),
    }


def parse_utilization(rates: Any) -> Values:
    """Shares of the last second in which a kernel ran, and in which memory was read or written."""
    return {"gpu_utilization_ratio": rates.gpu / 100, "gpu_memory_activity_ratio": rates.memory / 100}


def parse_memory(prefix: str, memory: Any) -> Values:
    """`<prefix>_used_bytes`, `_total_bytes` and `_used_ratio`; {} where the total is unknown."""
    if not memory.total:
        return {}
    return {
        f"{prefix}_used_bytes": memory.used,
        f"{prefix}_total_bytes": memory.total,
        f"{prefix}_used_ratio": memory.used / memory.total,
    }


def parse_own_memory(processes: Iterable[Any], pid: int) -> Values:
    """GPU memory of the process `pid`; {} if it is not listed (in a container NVML may list other ids)."""
    used = [process.usedGpuMemory for process in processes if process.pid == pid]
    known = [int(amount) for amount in used if amount is not None]
    return {"gpu_own_memory_bytes": sum(known)} if known else {}


def parse_cuda_version(number: int) -> str:
    """12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def text(answer: str | bytes) -> str:
    """pynvml gave bytes in older versions."""
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
