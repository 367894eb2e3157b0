"""NVIDIA GPUs through NVML (the library `nvidia-ml-py`, imported as pynvml).

Every call is guarded by itself: a GPU answers what it can. The states of one that cannot:

    ok ─┬▶ lost              fell off the bus, or needs a reset: looked for anew every REOPEN_READS
        ├▶ driver_mismatch   the driver was upgraded under the running kernel module: reboot needed
        └▶ absent            a GPU that was there is no longer (driver unloaded, unplugged)

A box that never had an NVIDIA driver has no GPU entity at all: the probe is unavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.config.schema import TelemetrySettings
from agent.core.errors import ProbeUnavailable
from agent.core.types import Scalar
from agent.telemetry import Reading, Values
from agent.telemetry.probes.nvml_parse import (
    UNSUPPORTED,
    NvmlFailure,
    failure_of,
    failure_of_start,
    parse_cuda_version,
    text,
)
from agent.telemetry.probes.nvml_queries import QUERIES, SLOW_QUERIES, NvmlQuery

REOPEN_READS = 30
"""A lost GPU or driver is looked for anew every so many reads (30 s at 1 Hz)."""

SLOW_READS = 10
"""SLOW_QUERIES are asked every so many reads."""

_GONE = NvmlFailure("absent", "NVML no longer knows this GPU")


class NvmlProbe:
    """Every GPU that NVML knows, as `gpu/0`, `gpu/1`, ..."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._failure: NvmlFailure | None = None  # of all of NVML; each GPU may have its own
        self._gpus: list[_Gpu] = []
        self._known = 0
        self._reads = 0
        self._facts: Mapping[str, Scalar] = {}

    @classmethod
    def of(cls, settings: TelemetrySettings, state_directory: Path) -> NvmlProbe:  # noqa: ARG003  (the protocol's)
        """The probe as configured."""
        return cls()

    def open(self) -> None:
        """Load NVML and find the GPUs. Raises ProbeUnavailable where there is no driver and never was."""
        try:
            import pynvml
        except ImportError as error:
            raise ProbeUnavailable("the library nvidia-ml-py is not installed") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._gpus = [_Gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            self._fail(failure_of_start(error.value, str(error)))
            return
        if not self._gpus and not self._known:
            self.close()
            raise ProbeUnavailable("NVML knows no GPU")
        self._failure = None
        self._known = max(self._known, len(self._gpus))
        self._facts = {"gpu_state": "ok", "gpu_count": len(self._gpus), **_read_facts(pynvml, self._gpus)}

    def read(self) -> list[Reading]:
        """One reading a GPU, whatever its state."""
        self._reads += 1
        unwell = self._failure or any(gpu.failure for gpu in self._gpus)
        if unwell and self._reads % REOPEN_READS == 0:
            self.close()
            self.open()
        slow = self._reads % SLOW_READS == 1
        readings = [Reading(entity=f"gpu/{gpu.index}", values=gpu.read(slow=slow)) for gpu in self._gpus]
        failure = self._failure or _GONE
        readings += [
            Reading(entity=f"gpu/{index}", values=failure.values())
            for index in range(len(readings), max(self._known, 1))
        ]
        return readings

    def facts(self) -> Mapping[str, Scalar]:
        """Driver and CUDA version, and each GPU's name and memory."""
        return self._facts

    def close(self) -> None:
        """Shut NVML down."""
        nvml, self._nvml, self._gpus = self._nvml, None, []
        if nvml is None:
            return
        try:
            nvml.nvmlShutdown()
        except nvml.NVMLError:
            return  # it was not up

    def _fail(self, failure: NvmlFailure) -> None:
        if failure.state == "absent" and not self._known:
            self.close()
            raise ProbeUnavailable(failure.reason)
        self._failure, self._gpus = failure, []
        self._facts = {**self._facts, "gpu_state": failure.state}


class _Gpu:
    """One GPU. What it was found not to support is not asked again until NVML is opened anew."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.index = index
        self.failure: NvmlFailure | None = None
        self._nvml = nvml
        self._unsupported: set[str] = set()
        self._slow: Values = {}
        self._trouble = ""

    def handle(self) -> Any:
        """NVML's handle, asked anew each time: it changes when a GPU comes back."""
        return self._nvml.nvmlDeviceGetHandleByIndex(self.index)

    def read(self, *, slow: bool) -> Values:
        """What it answers; only its state where it does not."""
        self.failure, self._trouble = None, ""
        try:
            handle = self.handle()
        except self._nvml.NVMLError as error:
            self.failure = failure_of(error.value) or NvmlFailure("lost", f"no handle: {error}")
            return self.failure.values()
        values = self._ask(QUERIES, handle)
        if slow:
            self._slow = self._ask(SLOW_QUERIES, handle)
        if not self.failure and not values and self._trouble:
            self.failure = NvmlFailure("lost", f"answers nothing: {self._trouble}")
        if self.failure:
            return self.failure.values()
        return {"gpu_state": "ok", "gpu_lost": 0, **values, **self._slow}

    def _ask(self, queries: Mapping[str, NvmlQuery], handle: Any) -> Values:
        values: Values = {}
        for name, ask in queries.items():
            if self.failure:
                break  # a lost GPU can take seconds for each further call
            if name in self._unsupported:
                continue
            try:
                values |= ask(self._nvml, handle)
            except self._nvml.NVMLError as error:
                self.failure = failure_of(error.value)
                self._trouble = str(error)
                if error.value in UNSUPPORTED:
                    self._unsupported.add(name)
        return values


def _read_facts(nvml: Any, gpus: list[_Gpu]) -> dict[str, Scalar]:
    """What the driver and the GPUs are; what they do not report is left out."""
    asks: dict[str, Callable[[], Scalar]] = {
        "gpu_driver_version": lambda: text(nvml.nvmlSystemGetDriverVersion()),
        "cuda_version": lambda: parse_cuda_version(nvml.nvmlSystemGetCudaDriverVersion_v2()),
    }
    for gpu in gpus:
        asks |= _gpu_facts(nvml, gpu)
    facts = {name: _answer(nvml, ask) for name, ask in asks.items()}
    return {name: fact for name, fact in facts.items() if fact is not None}


def _gpu_facts(nvml: Any, gpu: _Gpu) -> dict[str, Callable[[], Scalar]]:
    return {
        f"gpu_{gpu.index}_name": lambda: text(nvml.nvmlDeviceGetName(gpu.handle())),
        f"gpu_{gpu.index}_uuid": lambda: text(nvml.nvmlDeviceGetUUID(gpu.handle())),
        f"gpu_{gpu.index}_memory_bytes": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu.handle()).total),
    }


def _answer(nvml: Any, ask: Callable[[], Scalar]) -> Scalar:
    try:
        return ask()
    except nvml.NVMLError:
        return None
