"""A round of the whole agent on so many cameras of one video: frames/s, CPU by part, time by stage, GPU use."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from typing import Any

import numpy as np
import psutil
import structlog
from breakdown import MODEL, PREPARED, Meter, cpu_by_thread

from agent.app.service import Service
from agent.cameras.kinds.stream import StreamCamera
from agent.config.delivery_settings import BrokerSettings
from agent.config.schema import CameraSettings, ModelSettings, Settings
from agent.core.secret import Masked
from agent.core.types import FrameResult
from gpu_parts.device import Gpu
from gpu_parts.note import note, rounded, run

SETTLING_SECONDS = 2.0
NOBODY = "mqtt://127.0.0.1:9"  # no broker listens there: messages wait on disk
STAGES = ("decode", "wait", "preprocess", "inference", "postprocess", "total")


class Seen:
    """Of a frame's result what is measured; not its picture."""

    def __init__(self, result: FrameResult) -> None:
        self.camera, self.stages, self.batch = result.frame.camera, result.stages, result.batch


def main(about: dict[str, Any]) -> None:
    """The service in this process, everything on that is on by default."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    results: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder:
        service = Service(settings(about, folder), on_frame=lambda result: results.append(Seen(result)))
        service.open()
        meter, gpu = Meter(service), Gpu()
        service.start()
        while len({result.camera for result in results}) < about["cameras"]:
            time.sleep(0.1)  # the step's own limit ends it
        time.sleep(SETTLING_SECONDS)
        results.clear()
        service.device.sampler.take_window()
        inside, before, began = meter.inside, cpu_by_thread(), time.perf_counter()
        with gpu.watched() as used:
            time.sleep(about["seconds"])
        seconds = time.perf_counter() - began
        measured, after, inside = list(results), cpu_by_thread(), meter.inside - inside
        telemetry = {one.entity: dict(one.values) for one in service.device.sampler.take_window()}
        rss = psutil.Process().memory_info().rss / 2**20
        provider = service.detector.info.provider
        service.stop()
    spent = Counter({name: value - before[name] for name, value in after.items()})
    spent[MODEL] = spent.pop("onnxruntime", 0.0) + inside
    spent[PREPARED] -= inside
    told(about, provider, measured, seconds, spent, {**used, "rss_mb": round(rss)})
    if "gpu/0" in telemetry:
        note("the agent's own gpu/0", cameras=about["cameras"], round=about["round"], **telemetry["gpu/0"])


def settings(about: dict[str, Any], folder: str) -> Settings:
    options = StreamCamera.Options(
        url=about["video"], loop=True, pace="fast", decoder=about.get("decoder", "cpu")
    )
    return Settings(
        state_directory=folder,
        broker=BrokerSettings(url=Masked(NOBODY)),
        model=ModelSettings(path=about["model"], provider=about["provider"]),
        cameras=tuple(CameraSettings(name=f"c{n}", options=options) for n in range(about["cameras"])),
    )


def told(
    about: dict[str, Any],
    provider: str,
    results: list[Seen],
    seconds: float,
    spent: Counter[str],
    more: dict[str, Any],
) -> None:
    """One row beside the bare loop's, one of the stages, one of CPU by part."""
    frames, name = max(1, len(results)), f"agent, {about['cameras']} cameras{about.get('suffix', '')}"
    note(
        "the whole agent",
        round=about["round"],
        contender=name,
        provider=provider,
        fps=rounded(len(results) / seconds, 1),
        cpu_ms=rounded(spent.total() * 1e3 / frames),
        **more,
    )
    stages = {
        f"{stage}_{word}_ms": rounded(
            np.percentile([getattr(one.stages, stage) for one in results], rank) * 1e3
        )
        for stage in STAGES
        for word, rank in (("p50", 50), ("p99", 99))
        if results
    }
    batch = rounded(np.mean([one.batch for one in results] or [0]), 2)
    note("where the time goes", contender=name, round=about["round"], batch_mean=batch, **stages)
    shares = {part: rounded(value * 1e3 / frames) for part, value in spent.most_common() if value > 0}
    note("CPU ms a frame, by part", contender=name, round=about["round"], **shares)


if __name__ == "__main__":
    run(main)
