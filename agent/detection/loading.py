"""Load a model on the provider that really works: TensorRT, CUDA or the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.user import home
from agent.detection import providers
from agent.detection.metadata import Metadata, parse
from agent.detection.providers import CPU, CUDA, TENSORRT
from agent.detection.runner import InputShape, Providers, Runner

log = structlog.get_logger("vedette.detection")

_DEFAULT_SIZE = 640  # what YOLO detectors are trained at


class Loader:
    """Loads models as `settings` say. `cache` is where TensorRT engines are kept."""

    def __init__(self, settings: ModelSettings, cache: Path | None) -> None:
        self.settings, self._cache = settings, cache

    def load(self, path: Path, sha256: str) -> Runner:
        """An open session on the provider that really works; raises ModelError, MissingExtra."""
        runtime = providers.load_runtime()
        _, threads = self.share()
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
            chosen = self._with_options(names, runner, engines)
            runner = self._on_gpu(runtime, path, chosen, runner)
        if wanted not in ("auto", runner.provider):
            log.warning(
                "model does not run where it was asked to",
                wanted=wanted,
                provider=runner.provider,
                available=",".join(runtime.get_available_providers()),
                advice=providers.install_advice(),
            )
        return runner

    def share(self) -> tuple[int, int]:
        """How many lanes run the model on the CPU, and each of them on how many threads."""
        threads = self.settings.threads or providers.available_threads()
        return providers.share(threads, self.settings.lanes)

    def _on_gpu(self, runtime: Any, path: Path, chosen: Providers, fallback: Runner) -> Runner:
        """A session on the GPU, or the one on the CPU where the GPU cannot take the model (full, lost)."""
        try:
            runner = Runner(runtime, path, chosen, threads=0)
        except ModelError as error:
            log.warning("the GPU cannot take the model, running it on the CPU", reason=str(error))
            return fallback
        if runner.provider == "cpu":
            return fallback
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

    def _with_options(self, names: Sequence[str], probe: Runner, engines: Path) -> Providers:
        device = self.settings.device_id
        shape = probe.input
        dynamic = None in (shape.batch, shape.height, shape.width)
        chosen: list[str | tuple[str, dict[str, str]]] = []
        for name in names:
            if name == CUDA:
                chosen.append((name, providers.cuda_options(device, dynamic=dynamic)))
            elif name == TENSORRT:
                engines.mkdir(parents=True, exist_ok=True)
                # half precision is what Jetson and every recent GPU are fast at; fp32 must be asked for
                half = self.settings.precision != "fp32"
                metadata = parse(probe.metadata, probe.path)
                bounds = _profile(shape, self.input_size(shape, metadata), metadata.stride, self.batch(shape))
                shapes = bounds if dynamic else {}
                chosen.append((name, providers.tensorrt_options(device, engines, half=half, shapes=shapes)))
            else:
                chosen.append(name)
        return chosen

    def batch(self, shape: InputShape) -> int:
        """How many frames a run takes at most."""
        return shape.batch or self.settings.max_batch

    def input_size(self, shape: InputShape, metadata: Metadata) -> tuple[int, int]:
        """The size of a static model, else the largest sides an image may take, multiples of the stride."""
        asked = self.settings.input_size
        free = (asked, asked) if asked else metadata.image_size or (_DEFAULT_SIZE, _DEFAULT_SIZE)
        stride = metadata.stride
        rounded = [-(-side // stride) * stride for side in free]
        return shape.height or rounded[0], shape.width or rounded[1]


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
