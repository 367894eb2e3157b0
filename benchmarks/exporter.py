"""What metrics for Prometheus cost: a frame, a second's observations, a scrape; all as shares of one core.

python benchmarks/exporter.py [--cameras N] [--fps F]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import deque
from types import SimpleNamespace

import numpy as np
from prometheus_client.exposition import generate_latest

from agent.core.types import CameraState, CameraStatus, Detections, Frame, FrameResult, StageSeconds
from agent.core.worker import Health
from agent.exporter.about import About
from agent.exporter.exposition import registry_of
from agent.exporter.ledger import Ledger
from agent.features import FEATURES
from agent.pipeline.camera_window import CameraWindow, FrameCounts
from agent.pipeline.observations import state_observations, summary_observations
from agent.telemetry.probes.host import HostProbe
from agent.telemetry.sampler import observations

CLASSES = tuple(f"class_{number}" for number in range(80))


def a_frame(camera: str, random: np.random.Generator) -> FrameResult:
    n = 10
    times = random.gamma(2.0, 0.01, 6)
    return FrameResult(
        frame=Frame(
            camera=camera, index=0, image=np.zeros((2, 2, 3), np.uint8), captured_at=0, monotonic_ns=0
        ),
        detections=Detections(
            boxes=np.zeros((n, 4), np.float32),
            scores=np.full(n, 0.5, np.float32),
            class_ids=random.integers(0, 80, n),
            threshold=0.25,
            candidates=n,
        ),
        stages=StageSeconds(
            **dict(
                zip(("decode", "wait", "preprocess", "inference", "postprocess", "total"), times, strict=True)
            )
        ),
        batch=1,
    )


def per_call(function, times: int) -> float:
    """Processor seconds a call."""
    before = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - before) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second of each camera")
    words = parser.parse_args()
    random = np.random.default_rng(1)
    names = [f"camera-{number}" for number in range(words.cameras)]
    frames = [a_frame(name, random) for name in names for _ in range(round(words.fps))]
    statuses = [CameraStatus(camera=name, state=CameraState.ONLINE, since=0.0) for name in names]

    from pathlib import Path

    probe = HostProbe(Path("/"))
    probe.open()
    time.sleep(0.1)
    host = [one for reading in probe.read() for one in observations(reading.entity, reading.values, 0.0)]
    second = [*(one for status in statuses for one in state_observations(status, 0.0)), *host]
    window = list(second)
    for name, status in zip(names, statuses, strict=True):
        opened = CameraWindow(name, CLASSES, 0.0)
        for frame in frames:
            if frame.frame.camera == name:
                opened.add(frame)
        summary = opened.close(60.0, 60.0, FrameCounts(seen=1500), status)
        means = {f"feature_{feature}_mean": 1.0 for feature in FEATURES}
        window += summary_observations(dataclasses.replace(summary, body={**summary.body, **means}))

    ledger = Ledger()
    parts = [Health(name=name, silent_seconds=0.1) for name in ("delivery", "analysis", *names)]
    about = About(info=dict, alerts=list, parts=lambda: parts, missing=list, device="box", site="north")
    registry = registry_of(ledger, about)
    frame_seconds = per_call(lambda: deque(map(ledger.frame, frames), maxlen=0), 50) / len(frames)
    ledger.latencies()

    def tick() -> None:
        for frame in frames:
            ledger.frame(frame)
        ledger.observe(second)

    tick_seconds = per_call(tick, 50)
    window_seconds = per_call(lambda: ledger.observe(window), 20)
    scrape_seconds = per_call(lambda: generate_latest(registry), 20)
    text = generate_latest(registry)
    series = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    print(SimpleNamespace(cameras=words.cameras, fps=words.fps, series=series, scrape_bytes=len(text)))
    print(f"a frame, in the scheduler's thread    {frame_seconds * 1e6:8.2f} us")
    print(f"a second: its frames and observations {tick_seconds * 1e3:8.2f} ms  {tick_seconds:.2%} of a core")
    print(f"a window's end                        {window_seconds * 1e3:8.2f} ms")
    print(
        f"a scrape                              {scrape_seconds * 1e3:8.2f} ms  {scrape_seconds / 15:.2%} of a core at 15 s"
    )


if __name__ == "__main__":
    main()
