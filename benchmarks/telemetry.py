"""What a sample of each probe costs: wall time, processor time, and what the sampler adds at one hertz.

    python benchmarks/telemetry.py [--samples N] [--jetson TREE]

Run it on the box in question: a GPU's driver decides most of it.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path

import numpy as np

from agent.config.schema import TelemetrySettings
from agent.core.errors import ProbeUnavailable
from agent.telemetry import Probe
from agent.telemetry.probes.tegra import TegraProbe
from agent.telemetry.sampler import Sampler, load_probes


def measure(probe: Probe, samples: int) -> tuple[list[float], float, int]:
    """(wall seconds of each read, processor seconds a read, numbers a read)."""
    walls = []
    before = time.process_time()
    for _ in range(samples):
        began = time.perf_counter()
        readings = probe.read()
        walls.append(time.perf_counter() - began)
    used = (time.process_time() - before) / samples
    return walls, used, sum(len(reading.values) for reading in readings)


def run_sampler(seconds: float) -> tuple[float, int]:
    """(processor share of a sampler at its default interval, bytes of the summaries)."""
    sampler = Sampler(TelemetrySettings(), Path("/"))
    stop = threading.Event()
    thread = threading.Thread(target=sampler.run, args=(stop,))
    before = time.process_time()
    thread.start()
    time.sleep(seconds)
    share = (time.process_time() - before) / seconds
    size = sum(len(json.dumps(dict(one.values))) for one in sampler.take_window())
    stop.set()
    thread.join()
    return share, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--jetson", type=Path, help="a tree of a Jetson board, as in tests/telemetry/trees")
    arguments = parser.parse_args()
    probes = load_probes(TelemetrySettings(), Path("/"))
    if arguments.jetson:
        probes["tegra"] = TegraProbe(arguments.jetson)
    print(f"{'probe':8} {'numbers':>8} {'wall p50 ms':>12} {'p99 ms':>8} {'cpu ms':>8}")
    for name, probe in probes.items():
        try:
            probe.open()
        except ProbeUnavailable as error:
            print(f"{name:8} not here: {error}")
            continue
        walls, used, numbers = measure(probe, arguments.samples)
        p50, p99 = np.quantile(walls, [0.5, 0.99]) * 1e3
        print(f"{name:8} {numbers:8} {p50:12.2f} {p99:8.2f} {used * 1e3:8.2f}")
        probe.close()
    share, size = run_sampler(10.0)
    print(f"sampler at 1 Hz: {share:.2%} of one core, {size} bytes of summaries")


if __name__ == "__main__":
    main()
