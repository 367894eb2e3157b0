"""Engines run models: what one offers, what a model opened by it offers, and the registry; one file each.

A provider, as `[model] provider` names it, is a way in which one engine runs a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.registry import Registry
from agent.detection.model_input import InputShape


class ModelRunner(Protocol):
    """An open model: arrays in, arrays out. Several threads may call `run`.

    `provider` is what runs it, `precision` how it multiplies, `runtime` its library and version. `threads` are those of
    one run on the CPU, 0 for a device beside it. `outputs` are their names, in the file's order.
    """

    path: Path
    input: InputShape
    outputs: Sequence[str]
    provider: str
    precision: str
    runtime: str
    threads: int

    def warm_up(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Run until the next run is at full speed; every output. Raises InferenceError."""

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Every output for `batch`, in memory that is nobody else's. Raises InferenceError."""

    def release(self) -> None:
        """Let go of what runs of shapes that may not come again have taken."""


class Engine(Protocol):
    """Opens models as the settings say; `cache` is a folder for what takes long to make (None: there is none)."""

    def __init__(self, settings: ModelSettings, cache: Path | None) -> None:
        """Store the settings."""

    @staticmethod
    def library() -> Any:
        """The library's module. Raises MissingExtra."""

    def load(self, path: Path, sha256: str) -> ModelRunner:
        """The model at `path`, which was checked. Raises ModelError, MissingExtra."""


ENGINES = Registry(
    "engine",
    {
        "onnxruntime": "agent.detection.engines.onnx_runtime:OnnxRuntime",
        "openvino": "agent.detection.engines.openvino:OpenVino",
    },
)

ENGINE_OF: Mapping[str, str] = {
    "auto": "onnxruntime",
    "cpu": "onnxruntime",
    "cuda": "onnxruntime",
    "tensorrt": "onnxruntime",
    "openvino": "openvino",
}
"""The engine of each provider that a config may name."""


def engine_of(settings: ModelSettings, cache: Path | None) -> Engine:
    """The engine that the settings name."""
    engine: Engine = ENGINES.load(ENGINE_OF[settings.provider])(settings, cache)
    return engine
