"""The questions put to a GPU through NVML: each one call (or a few), asked and guarded by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from agent.telemetry import Values
from agent.telemetry.probes.nvml_parse import (
    parse_memory,
    parse_own_memory,
    parse_throttle_reasons,
    parse_utilization,
    text,
)

NvmlQuery = Callable[[Any, Any], Values]
"""(pynvml, handle of a GPU) to what it answers; raises NVMLError."""

FUNCTION_NOT_FOUND = 13


def first(nvml: Any, names: tuple[str, ...], *arguments: Any) -> Any:
    """The answer of the first of the functions that this driver and this pynvml both have."""
    error: Exception | None = None
    for name in names:
        function = getattr(nvml, name, None)
        if function is None:
            continue
        try:
            return function(*arguments)
        except nvml.NVMLError as missing:
            if missing.value != FUNCTION_NOT_FOUND:
                raise
            error = missing
    raise error or nvml.NVMLError(FUNCTION_NOT_FOUND)


def _ask_temperature(nvml: Any, gpu: Any) -> Values:
    names = ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
    return {"gpu_temperature_celsius": first(nvml, names, gpu, nvml.NVML_TEMPERATURE_GPU)}


def _ask_throttling(nvml: Any, gpu: Any) -> Values:
    names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    return parse_throttle_reasons(first(nvml, names, gpu))


def _ask_own_memory(nvml: Any, gpu: Any) -> Values:
    names = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
    return parse_own_memory(first(nvml, names, gpu), os.getpid())


def _ask_errors(kind: str, constant: str) -> NvmlQuery:
    def ask(nvml: Any, gpu: Any) -> Values:
        count = nvml.nvmlDeviceGetTotalEccErrors(gpu, getattr(nvml, constant), nvml.NVML_VOLATILE_ECC)
        return {f"gpu_ecc_{kind}_total": count}

    return ask


def _ask_clock(field: str, function: str, constant: str) -> NvmlQuery:
    def ask(nvml: Any, gpu: Any) -> Values:
        return {field: getattr(nvml, function)(gpu, getattr(nvml, constant)) * 1e6}

    return ask


def _ask_throughput(direction: str, constant: str) -> NvmlQuery:
    def ask(nvml: Any, gpu: Any) -> Values:
        kilobytes = nvml.nvmlDeviceGetPcieThroughput(gpu, getattr(nvml, constant))
        return {f"gpu_pcie_{direction}_bytes_per_second": kilobytes * 1000}

    return ask


def _ask_mig(nvml: Any, gpu: Any) -> Values:
    """The GPU's MIG instances, named, with their memory; {"gpu_mig_mode": 0} where it is not split."""
    if not nvml.nvmlDeviceGetMigMode(gpu)[0]:
        return {"gpu_mig_mode": 0}
    values: Values = {"gpu_mig_mode": 1}
    for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        values |= _ask_mig_slot(nvml, gpu, slot)
    return values


def _ask_mig_slot(nvml: Any, gpu: Any, slot: int) -> Values:
    try:
        instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot)
        return {
            f"gpu_mig_{slot}_name": text(nvml.nvmlDeviceGetName(instance)),
            **parse_memory(f"gpu_mig_{slot}_memory", nvml.nvmlDeviceGetMemoryInfo(instance)),
        }
    except nvml.NVMLError:
        return {}  # an empty slot, or an instance that just went away


QUERIES: Mapping[str, NvmlQuery] = {
    "name": lambda nvml, gpu: {"gpu_name": text(nvml.nvmlDeviceGetName(gpu))},
    "utilization": lambda nvml, gpu: parse_utilization(nvml.nvmlDeviceGetUtilizationRates(gpu)),
    "memory": lambda nvml, gpu: parse_memory("gpu_memory", nvml.nvmlDeviceGetMemoryInfo(gpu)),
    "temperature": _ask_temperature,
    "power": lambda nvml, gpu: {"gpu_power_watts": nvml.nvmlDeviceGetPowerUsage(gpu) / 1000},
    "power limit": lambda nvml, gpu: {
        "gpu_power_limit_watts": nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000
    },
    "sm clock": _ask_clock("gpu_clock_sm_hertz", "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
    "sm clock limit": _ask_clock("gpu_clock_sm_limit_hertz", "nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"),
    "memory clock": _ask_clock("gpu_clock_memory_hertz", "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
    "performance state": lambda nvml, gpu: {"gpu_performance_state": nvml.nvmlDeviceGetPerformanceState(gpu)},
    "throttling": _ask_throttling,
    "encoder": lambda nvml, gpu: {"gpu_encoder_ratio": nvml.nvmlDeviceGetEncoderUtilization(gpu)[0] / 100},
    "decoder": lambda nvml, gpu: {"gpu_decoder_ratio": nvml.nvmlDeviceGetDecoderUtilization(gpu)[0] / 100},
    "fan": lambda nvml, gpu: {"gpu_fan_ratio": nvml.nvmlDeviceGetFanSpeed(gpu) / 100},
    "corrected errors": _ask_errors("corrected", "NVML_MEMORY_ERROR_TYPE_CORRECTED"),
    "uncorrected errors": _ask_errors("uncorrected", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
    "pcie generation": lambda nvml, gpu: {
        "gpu_pcie_generation": nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu)
    },
    "pcie width": lambda nvml, gpu: {"gpu_pcie_width": nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu)},
    "own memory": _ask_own_memory,
    "mig": _ask_mig,
}

SLOW_QUERIES: Mapping[str, NvmlQuery] = {
    "pcie receive": _ask_throughput("receive", "NVML_PCIE_UTIL_RX_BYTES"),
    "pcie transmit": _ask_throughput("transmit", "NVML_PCIE_UTIL_TX_BYTES"),
}
"""Asked less often: NVML counts bytes for 20 ms to answer each."""
