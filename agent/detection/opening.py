"""Open a model: load it, and learn from what it gives on a trial image what it is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.errors import InferenceError, ModelError
from agent.detection import ModelInfo, onnx_file
from agent.detection.buffers import SpareBuffers
from agent.detection.cpu import read_cpu
from agent.detection.engines import ModelRunner, engine_of
from agent.detection.examine import examine
from agent.detection.layouts.layout import Layout, ModelFacts
from agent.detection.manifest import identity
from agent.detection.metadata import Metadata, parse
from agent.detection.model_input import InputShape
from agent.detection.plausibility import BoxCheck
from agent.detection.preprocess import OF_BYTES, InputType
from agent.detection.reading import OutputReading
from agent.detection.recognise import recognise_among
from agent.detection.sizing import batch_size, cpu_lanes, input_size
from agent.detection.trial import Trial

log = structlog.get_logger("vedette.detection")

DEMO_MODEL = Path(__file__).with_name("demo.onnx")
EMBEDDING = "embedding"  # the output that `vedette model prepare` adds
_TRIED = 320  # pixels of a side: on fewer the objects of the trial image are hard to see
_TRIAL_CONFIDENCE = 0.25
"""Of boxes on the trial image, whatever the config asks for: what a model is must not depend on that."""
_EXPORT_FIRST = (".pt", ".pth", ".engine", ".torchscript", ".tflite", ".mlpackage")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedModel:
    """A model that is ready: how to run it and how to read it.

    `alone` admits a run for each lane, or one at a time where it must. `spare` is the memory of its inputs.
    """

    runner: ModelRunner
    alone: AbstractContextManager[Any]
    info: ModelInfo
    layout: Layout
    boxes_output: int
    embedding_output: int | None
    check: BoxCheck
    spare: SpareBuffers = field(default_factory=SpareBuffers)


def identify(settings: ModelSettings) -> tuple[Path, str]:
    """The model's file, checked, and its sha256; raises ModelError."""
    path, beside = _checked(settings.path)
    return path, identity(path, beside)


def open_model(settings: ModelSettings, cache: Path | None, path: Path, sha256: str) -> OpenedModel:
    """Load the model, see that it is a detector, warm it up; raises ModelError, MissingExtra."""
    return _understand(settings, engine_of(settings, cache).load(path, sha256), sha256)


def _understand(settings: ModelSettings, runner: ModelRunner, sha256: str) -> OpenedModel:
    """Run the model on a trial image, and learn from what it gives what it is."""
    shape, metadata = runner.input, parse(onnx_file.metadata(runner.path), runner.path)
    _check_int8(runner, metadata)
    size = input_size(settings, shape, metadata)
    tried = size if runner.threads == 0 else _smaller(shape, size, metadata.stride)
    trial = Trial(_input_type(shape, metadata, settings), tried, shape.batch or 1)
    try:
        outputs = runner.warm_up(trial.batch())
    except InferenceError as error:
        raise ModelError(f"model {runner.path} cannot run: {error}") from error
    _small_enough(runner.path, outputs)
    embedding = runner.outputs.index(EMBEDDING) if EMBEDDING in runner.outputs else None
    others = [index for index in range(len(outputs)) if index != embedding]
    others.sort(key=lambda index: outputs[index].ndim != 3)  # YOLOv5 exports may carry raw heads as well
    names = settings.names or metadata.names
    facts = ModelFacts(size=tried, classes=len(names), end_to_end=metadata.end_to_end)
    try:
        at, layout, doubt = recognise_among(
            [outputs[index] for index in others], facts, task=metadata.task, wanted=settings.layout
        )
    except ModelError as error:
        raise ModelError(f"model {runner.path} {error}") from None
    boxes = others[at]
    reading = OutputReading(
        runner=runner, layout=layout, boxes_output=boxes, trial=trial, confidence=_TRIAL_CONFIDENCE
    )
    check = BoxCheck(len(names), doubted=doubt)
    if not doubt:
        reading, check = _examined(reading, outputs[boxes][0], facts, names, settings)
    runner.release()
    on_cpu = runner.threads > 0
    info = ModelInfo(
        path=str(runner.path),
        sha256=sha256,
        name=runner.path.stem,
        classes=names or tuple(f"class{n}" for n in range(layout.classes(outputs[boxes].shape[1:]))),
        input_size=size,
        stride=metadata.stride,
        input_type=reading.trial.input_type.value,
        dynamic_batch=shape.batch is None,
        dynamic_size=shape.height is None and shape.width is None,
        max_batch=batch_size(settings, shape),
        layout=layout.name,
        embedding_size=0 if embedding is None else int(np.prod(outputs[embedding].shape[1:])),
        provider=runner.provider,
        precision=metadata.precision or ("fp16" if shape.dtype == "float16" else runner.precision),
        int8_f1=metadata.int8_f1,
        threads=runner.threads,
        lanes=cpu_lanes(settings) if on_cpu else settings.lanes or 2,
        runtime=runner.runtime,
        source=metadata.description,
        letterboxes=metadata.letterboxes and shape.pixels and shape.height is None and shape.width is None,
    )
    return OpenedModel(
        runner=runner,
        # as many as there are lanes: each run beyond takes memory for good (golden check, causes), and no time is won
        alone=threading.BoundedSemaphore(cpu_lanes(settings)) if on_cpu else threading.Lock(),
        info=info,
        layout=reading.layout,
        boxes_output=boxes,
        embedding_output=embedding,
        check=check,
    )


def _examined(
    reading: OutputReading,
    output: NDArray[Any],
    facts: ModelFacts,
    names: tuple[str, ...],
    settings: ModelSettings,
) -> tuple[OutputReading, BoxCheck]:
    """How to read the model, and what is known of its boxes so far; raises ModelError."""
    path, size = reading.runner.path, reading.trial.size
    try:
        seen = examine(reading, output, facts, names, free=settings.pixels == "auto")
    except ModelError as error:
        raise ModelError(f"model {path} {error}") from None
    except InferenceError as error:
        raise ModelError(f"model {path} cannot run: {error}") from error
    misplaced = "what its boxes on the trial image hold is not found again where it alone is shown"
    check = BoxCheck(
        len(names), doubted=misplaced if len(seen.found) and not seen.placed else "", refuted=seen.refuted
    )
    check.add_trial(seen.found, size, placed=seen.placed)
    return seen.reading, check


def _checked(setting: str) -> tuple[Path, tuple[Path, ...]]:
    """The model's file, and those beside it that hold its weights."""
    path = Path(setting) if setting else DEMO_MODEL
    if path.suffix.lower() in _EXPORT_FIRST:
        raise ModelError(f"model {path} is not an ONNX file: make one with `vedette model prepare`")
    return path, onnx_file.check(path)


def _check_int8(runner: ModelRunner, metadata: Metadata) -> None:
    """An INT8 model runs on the engines that it was checked on: OpenVINO gives other boxes of some (seen with 2026.4).

    On another than the first it is slower than in float. Weights of 8 bits overflow on an x86 without VNNI: then it was
    made on another kind of box.
    """
    if metadata.int8_engines and runner.threads and runner.provider not in metadata.int8_engines:
        raise ModelError(
            f"model {runner.path} is in INT8 and was not found to agree with fp32 on {runner.provider}: set [model] "
            f'provider = "{metadata.int8_engines[0]}", or prepare it again where {runner.provider} is installed'
        )
    if runner.threads and runner.provider in metadata.int8_engines[1:]:
        log.warning(
            "the INT8 model was made for another engine and is slow on this one",
            model=runner.path.name,
            provider=runner.provider,
            advice=f'set model.provider = "{metadata.int8_engines[0]}", or use the model in float',
        )
    if metadata.int8_weight_bits == 8 and runner.threads and read_cpu().saturates:
        log.warning(
            "the INT8 model was made for another CPU, its results may be wrong here",
            model=runner.path.name,
            advice="prepare it with --int8 on this box, or on one of its kind",
        )


def _small_enough(path: Path, outputs: Sequence[NDArray[Any]]) -> None:
    """What a graph leaves open until it runs is held to the limit of what it declares."""
    taken, most = max((output.nbytes for output in outputs), default=0), onnx_file.largest_tensor()
    if taken > most:
        raise ModelError(
            f"model {path} gives an output of {taken >> 20} MiB; at most {most >> 20} MiB are accepted on this box"
        )


def _input_type(shape: InputShape, metadata: Metadata, settings: ModelSettings) -> InputType:
    if shape.dtype != "uint8":
        kind = InputType(shape.dtype)
        return OF_BYTES[kind] if settings.pixels == "0-255" else kind
    if not shape.pixels:
        return InputType.UINT8_PLANES
    return InputType.UINT8_BGR if metadata.input_type == InputType.UINT8_BGR.value else InputType.UINT8_PIXELS


def _smaller(shape: InputShape, size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Half of `size`, but no less than _TRIED, where the model leaves it free.

    ONNX Runtime keeps some of what a trial takes for good.
    """
    height, width = (max(stride, min(side, max(side // 2, _TRIED)) // stride * stride) for side in size)
    return shape.height or height, shape.width or width
