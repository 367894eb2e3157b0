"""What the GPU does meanwhile, by NVML: use, memory, power; empty where there is none."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SAMPLE_SECONDS = 0.2


class Gpu:
    """GPU 0."""

    def __init__(self) -> None:
        import pynvml

        self._nvml, self._handle = pynvml, None
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        except pynvml.NVMLError:
            return

    @property
    def here(self) -> bool:
        """Whether there is one."""
        return self._handle is not None

    def memory_mb(self) -> float | None:
        """In use on the card, by everybody."""
        return round(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / 2**20) if self.here else None

    @contextmanager
    def watched(self) -> Iterator[dict[str, Any]]:
        """A dict that holds the means over the block once it is over."""
        told: dict[str, Any] = {}
        samples: dict[str, list[float]] = {"gpu_use": [], "gpu_watts": []}
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(samples, stop))
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join()
            for name, digits in (("gpu_use", 2), ("gpu_watts", 0)):
                if values := samples[name]:
                    told[name] = round(statistics.mean(values), digits)
            if self.here:
                told["gpu_mb"] = self.memory_mb()

    def _sample(self, samples: dict[str, list[float]], stop: threading.Event) -> None:
        while self.here and not stop.wait(SAMPLE_SECONDS):
            with suppress(self._nvml.NVMLError):  # what a GPU does not tell is left out
                samples["gpu_use"].append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100)
            with suppress(self._nvml.NVMLError):
                samples["gpu_watts"].append(self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000)
