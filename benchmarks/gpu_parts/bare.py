"""The bare loop: `session.run` with I/O binding on prepared pictures, nothing else; what the agent is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.types import Frame
from agent.detection.opening import DEMO_MODEL
from agent.detection.providers import CPU, CUDA
from agent.detection.session import Detector
from gpu_parts.device import Gpu
from gpu_parts.note import note, rounded, run


def providers(wanted: str, **options: str) -> list[Any]:
    """What a bare session is given: CUDA with `options` where it works and is not ruled out, then the CPU."""
    if wanted == "cpu" or not cuda_works():
        return [CPU]
    return [(CUDA, {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", **options}), CPU]


@cache
def cuda_works() -> bool:
    """Whether a session really runs on CUDA; where it does not, ONNX Runtime says why, once in each part."""
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        return False
    onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(str(DEMO_MODEL), providers=[CUDA, CPU])
    return bool(session.get_providers()[0] == CUDA)


class Session:
    """A bare session with its input and outputs bound to the device that it runs on."""

    def __init__(self, model: str, wanted: str, free: dict[str, int] | None = None, **options: str) -> None:
        import onnxruntime

        self.runtime = onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        for name, size in (free or {}).items():
            settings.add_free_dimension_override_by_name(name, size)
        self.session = onnxruntime.InferenceSession(model, settings, providers=providers(wanted, **options))
        self.provider = self.session.get_providers()[0]
        self.device = "cuda" if self.provider == CUDA else "cpu"
        self.name = self.session.get_inputs()[0].name
        self._value: Any = None
        self._binding: Any = None
        self._places: list[Any] = []  # outputs of a fixed address

    def bind(self, batch: NDArray[Any], shapes: Sequence[tuple[int, ...]] = ()) -> None:
        """Bind for batches of this shape; outputs of known `shapes` keep their address, as CUDA graphs want it."""
        self._own = batch.copy()  # on the CPU the value is this very memory, and is written into
        self._value = self.runtime.OrtValue.ortvalue_from_numpy(self._own, self.device, 0)
        self._binding = self.session.io_binding()
        self._binding.bind_ortvalue_input(self.name, self._value)
        self._places = []
        for output in self.session.get_outputs():
            if not shapes:
                self._binding.bind_output(output.name, self.device, 0)
        for output, shape in zip(self.session.get_outputs(), shapes, strict=False):
            kind = np.float16 if "16" in output.type else np.float32
            place = self.runtime.OrtValue.ortvalue_from_shape_and_type(shape, kind, self.device, 0)
            self._binding.bind_ortvalue_output(output.name, place)
            self._places.append(place)

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Without binding."""
        return list(self.session.run(None, {self.name: batch}))

    def copied(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Picture to the device, run, outputs back: what any real use has to do."""
        self._value.update_inplace(batch)
        self._binding.synchronize_inputs()
        self.session.run_with_iobinding(self._binding)
        return list(self._binding.copy_outputs_to_cpu())

    def resident(self) -> None:
        """Run on what lies on the device already, and leave the outputs there."""
        self.session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()


def detector(model: str, provider: str, **more: Any) -> Detector:
    """The agent's own, opened; quiet but for warnings."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    made = Detector(ModelSettings(path=model, provider=provider, max_batch=16, **more))
    made.open()
    return made


def pictures(video: str, count: int) -> list[Frame]:
    """The first `count` frames of a video."""
    from detection import read

    return read(Path(video), count)


def spread(video: str, count: int) -> list[Frame]:
    """`count` frames from all over a video."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        step = max(1, (stream.frames or 300) // count)
        return [
            Frame(
                camera="bench", index=index, captured_at=0.0, monotonic_ns=0,
                image=picture.to_ndarray(format="bgr24"),
            )
            for index, picture in enumerate(container.decode(stream))
            if index % step == step // 2
        ][:count]  # fmt: skip


def batch_of(made: Detector, frames: Sequence[Frame]) -> NDArray[Any]:
    """The model's input for these frames, a copy."""
    from detection import prepared

    return np.ascontiguousarray(prepared(made, list(frames)).copy())


def loop(step: Callable[[], object], seconds: float) -> tuple[int, float, float]:
    """(calls, wall seconds, CPU seconds of this process) of calling `step` for `seconds`, once at least."""
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    while not count or time.perf_counter() - began < seconds:
        step()
        count += 1
    return count, time.perf_counter() - began, time.process_time() - cpu


def main(about: dict[str, Any]) -> None:
    """A round of the bare loop for the whole agent to be compared with."""
    made = detector(about["model"], "cpu")
    frames = pictures(about["video"], 8)
    session = Session(about["model"], about["provider"])
    gpu = Gpu()
    for size in about["batches"]:
        batch = batch_of(made, frames[:size])
        session.bind(batch)
        loop(partial(session.copied, batch), 0.3)
        with gpu.watched() as used:
            calls, seconds, cpu = loop(partial(session.copied, batch), about["seconds"])
        note(
            "the whole agent",
            round=about["round"],
            contender=f"bare, batch of {size}",
            provider=session.provider,
            fps=rounded(calls * size / seconds, 1),
            cpu_ms=rounded(cpu * 1e3 / calls / size),
            **used,
        )


if __name__ == "__main__":
    run(main)
