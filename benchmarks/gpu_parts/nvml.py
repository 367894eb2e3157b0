"""NVML through the real library: what each question is answered, what is not, and what a sample costs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import structlog

from agent.core.errors import ProbeUnavailable
from agent.telemetry.probes.nvml import NvmlProbe
from agent.telemetry.probes.nvml_queries import QUERIES, SLOW_QUERIES
from gpu_parts.note import note, rounded, run

READS = 60


def main(_about: dict[str, Any]) -> None:
    """Every question by itself, then the probe as the agent uses it, then the sampler."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    probe = NvmlProbe()
    try:
        probe.open()
    except ProbeUnavailable as error:
        note("NVML", field="the probe", answer=f"not here: {error}")
        sampler_cost()
        return
    for name, value in probe.facts().items():
        note("NVML", field=name, answer=value)
    questions()
    walls, cpu = reads(probe)
    note("NVML, cost", what="a sample without the slow questions", p50_ms=ms(walls, 50), p99_ms=ms(walls, 99))
    note("NVML, cost", what="CPU of a sample, the slow ones each tenth time", cpu_ms=rounded(cpu * 1e3))
    for reading in probe.read():
        note("NVML, as published", entity=reading.entity, **dict(reading.values))
    probe.close()
    sampler_cost()


def questions() -> None:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    for name, ask in {**QUERIES, **SLOW_QUERIES}.items():
        times = []
        answer: object = ""
        for _ in range(5 if name in SLOW_QUERIES else 30):
            began = time.perf_counter()
            try:
                answer = ask(pynvml, handle)
            except pynvml.NVMLError as error:
                answer = f"N/A: {error}"
            times.append(time.perf_counter() - began)
        note("NVML", field=name, answer=answer or "nothing", p50_ms=ms(times, 50))


def reads(probe: NvmlProbe) -> tuple[list[float], float]:
    walls, cpu = [], time.process_time()
    for count in range(1, READS + 1):
        began = time.perf_counter()
        probe.read()
        if count % 10 != 1:  # those with the slow questions
            walls.append(time.perf_counter() - began)
    return walls, (time.process_time() - cpu) / READS


def sampler_cost() -> None:
    from telemetry import run_sampler

    share, size = run_sampler(5.0)
    note("NVML, cost", what="the whole sampler at 1 Hz", of_a_core=rounded(share, 5), bytes=size)


def ms(seconds: list[float], rank: int) -> float:
    return rounded(np.percentile(seconds, rank) * 1e3)


if __name__ == "__main__":
    run(main)
