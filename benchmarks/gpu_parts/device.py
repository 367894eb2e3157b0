"""What the GPU does meanwhile, by NVML: use, memory, power; empty where there is none."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
        samples: list[tuple[float, float]] = []
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(samples, stop))
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join()
            if samples:
                told["gpu_use"] = round(statistics.mean(use for use, _ in samples), 2)
                told["gpu_watts"] = round(statistics.mean(watts for _, watts in samples))
                told["gpu_mb"] = self.memory_mb()

    def _sample(self, samples: list[tuple[float, float]], stop: threading.Event) -> None:
        while self.here and not stop.wait(SAMPLE_SECONDS):
            use = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100
            samples.append((use, self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000))
