"""ONNX Runtime as an engine: a model on the provider that really works, TensorRT, CUDA or the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.user import home
from agent.detection import onnx_file, providers
from agent.detection.metadata import parse
from agent.detection.model_input import InputShape
from agent.detection.providers import CPU, CUDA, TENSORRT
from agent.detection.runner import Providers, Runner
from agent.detection.sizing import batch_size, cpu_threads, input_size

log = structlog.get_logger("vedette.detection")


class OnnxRuntime:
    """Loads models as `settings` say. `cache` is where TensorRT engines are kept."""

    def __init__(self, settings: ModelSettings, cache: Path | None) -> None:
        self.settings, self._cache = settings, cache

    @staticmethod
    def library() -> Any:
        """The module onnxruntime. Raises MissingExtra."""
        return providers.load_runtime()

    def load(self, path: Path, sha256: str) -> Runner:
        """An open session on the provider that really works; raises ModelError, MissingExtra."""
        runtime = providers.load_runtime()
        _, threads = providers.share(cpu_threads(self.settings), self.settings.lanes)
        wanted = self.settings.provider
        engines = self._engines(runtime, sha256)
        names = providers.choose(
            wanted, runtime.get_available_providers(), engine_cached=any(engines.glob("*.engine"))
        )
        # Metadata and shapes are needed before a GPU session can be given its options.
        runner = Runner(runtime, path, [CPU], threads=threads)
        if names != [CPU]:
            if hasattr(runtime, "preload_dlls"):
                runtime.preload_dlls()  # CUDA and cuDNN from pip packages, where they are installed so
            graph = self._records(runner)
            chosen = self._with_options(names, runner, engines, graph=graph)
            probe, runner = runner, self._on_gpu(runtime, path, chosen, runner)
            if graph and runner.provider == "cuda" and not sees_each_frame(runner):
                log.warning(
                    "CUDA graphs give the results of an earlier frame, running without them",
                    model=path.name,
                    advice="set model.cuda_graph = false",
                )
                chosen = self._with_options(names, probe, engines, graph=False)
                runner = self._on_gpu(runtime, path, chosen, probe)
        if wanted not in ("auto", runner.provider):
            log.warning(
                "model does not run on the requested provider",
                wanted=wanted,
                provider=runner.provider,
                available=",".join(runtime.get_available_providers()),
                advice=providers.install_advice(),
            )
        return runner

    def _records(self, probe: Runner) -> bool:
        """Whether runs are to be recorded as a CUDA graph; it holds one shape."""
        shape = probe.input
        fixed = None not in (shape.batch, shape.height, shape.width)
        if self.settings.cuda_graph and not fixed:
            log.warning(
                "CUDA graphs need a model of fixed batch and size, running without them",
                model=probe.path.name,
                advice="prepare it with `vedette model prepare --for gpu --static`, or set model.cuda_graph = false",
            )
        return self.settings.cuda_graph and fixed

    def _on_gpu(self, runtime: Any, path: Path, chosen: Providers, fallback: Runner) -> Runner:
        """A session on the GPU, or the one on the CPU where the GPU cannot take the model (full, lost)."""
        try:
            runner = Runner(runtime, path, chosen, threads=0)
        except ModelError as error:
            log.warning("the GPU cannot run the model, running it on the CPU", reason=str(error))
            return fallback
        if runner.provider == "cpu":
            return fallback
        if runner.provider == "tensorrt" and self.settings.precision != "fp32":
            runner.precision = "fp16"
        runner.bind("cuda", self.settings.device_id)
        return runner

    def _engines(self, runtime: Any, sha256: str) -> Path:
        if TENSORRT not in runtime.get_available_providers():
            return Path("none")
        return providers.engine_directory(
            self._cache or home() / ".cache" / "vedette" / "engines",
            model=sha256,
            precision=self.settings.precision,
            runtime=runtime.__version__,
            gpu=providers.describe_gpu(self.settings.device_id),
        )

    def _with_options(self, names: Sequence[str], probe: Runner, engines: Path, *, graph: bool) -> Providers:
        device = self.settings.device_id
        shape = probe.input
        dynamic = None in (shape.batch, shape.height, shape.width)
        chosen: list[str | tuple[str, dict[str, str]]] = []
        for name in names:
            if name == CUDA:
                chosen.append((name, providers.cuda_options(device, dynamic=dynamic, graph=graph)))
            elif name == TENSORRT:
                metadata = parse(onnx_file.metadata(probe.path), probe.path)
                if (
                    metadata.letterboxes and dynamic
                ):  # its engine would have to hold the largest frame there may be
                    log.warning(
                        "TensorRT needs frames of one size if the graph letterboxes them, running without it",
                        model=probe.path.name,
                        advice="prepare it with --frame-size and --static, or without --letterbox graph",
                    )
                    continue
                engines.mkdir(parents=True, exist_ok=True)
                providers.prune_engines(engines)
                # half precision is what Jetson and every recent GPU are fast at; fp32 must be asked for
                half = self.settings.precision != "fp32"
                size = input_size(self.settings, shape, metadata)
                bounds = _profile(shape, size, metadata.stride, batch_size(self.settings, shape))
                shapes = bounds if dynamic else {}
                chosen.append((name, providers.tensorrt_options(device, engines, half=half, shapes=shapes)))
            else:
                chosen.append(name)
        return chosen


def sees_each_frame(runner: Runner) -> bool:
    """Whether different pictures give different results, also once runs are replayed.

    A CUDA graph whose input has moved gives the results of the picture that it was recorded on for ever
    (onnxruntime #20050).
    """
    shape = runner.input
    batch, height, width = shape.batch or 1, shape.height or 64, shape.width or 64
    sides = (batch, height, width, 3) if shape.pixels else (batch, 3, height, width)
    dark, bright = np.zeros(sides, shape.dtype), np.ones(sides, shape.dtype)
    if shape.dtype == "uint8":
        bright *= 255
    found = [runner.run(batch) for batch in (dark, bright, dark, bright, dark)]
    return all(
        any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
        for before, after in pairwise(found)
    )


def _profile(shape: InputShape, size: tuple[int, int], stride: int, batch: int) -> dict[str, str]:
    """The shapes that a TensorRT engine is built for: any multiple of the stride up to `size`."""

    def text(count: int, height: int, width: int) -> str:
        sides = (count, height, width, 3) if shape.pixels else (count, 3, height, width)
        return f"{shape.name}:{'x'.join(str(side) for side in sides)}"

    smallest = (shape.height or stride, shape.width or stride)
    return {
        "trt_profile_min_shapes": text(shape.batch or 1, *smallest),
        "trt_profile_opt_shapes": text(batch, *size),
        "trt_profile_max_shapes": text(batch, *size),
    }
