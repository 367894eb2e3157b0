"""The detector: an ONNX model that turns frames into detections, on the best provider there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core.errors import InferenceError, InferenceFailure, ModelError
from agent.core.types import Detections, Frame, Observation
from agent.core.user import home
from agent.detection import DetectedBatch, ModelInfo, onnx_file, providers
from agent.detection.buffers import SpareBuffers
from agent.detection.layouts.layout import Candidates, Layout, ModelFacts
from agent.detection.manifest import identity
from agent.detection.metadata import Metadata, parse
from agent.detection.nms import suppress
from agent.detection.plausibility import BoxCheck, Verification
from agent.detection.preprocess import InputType, Letterbox, plan
from agent.detection.providers import CPU, CUDA, TENSORRT
from agent.detection.recognise import recognise
from agent.detection.runner import InputShape, Providers, Runner
from agent.detection.trial import trial_batch

log = structlog.get_logger("vedette.detection")

DEMO_MODEL = Path(__file__).with_name("demo.onnx")
EMBEDDING = "embedding"  # the output that `vedette model prepare` adds
_DEFAULT_SIZE = 640  # what YOLO detectors are trained at
_EXPORT_FIRST = (".pt", ".pth", ".engine", ".torchscript", ".tflite", ".mlpackage")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """A model that is ready: how to run it and how to read it; `alone` admits one run at a time, where it must."""

    runner: Runner
    alone: AbstractContextManager[Any]
    info: ModelInfo
    layout: Layout
    boxes_output: int
    embedding_output: int | None
    check: BoxCheck


class Detector:
    """Runs one model; `open` may be called again after `close`, and neither while `detect` is at work.

    Several threads may call `detect`, `info.lanes` at best. On the CPU they run the model side by side, each on few
    threads: that takes less CPU time than many threads for one image. On a GPU it runs for one at a time,
    while the others prepare and read.
    `cache` is where TensorRT engines are kept.
    """

    def __init__(self, settings: ModelSettings, *, cache: Path | None = None) -> None:
        self.settings = settings
        self._cache = cache
        self._opened: _Opened | None = None
        self._info: ModelInfo | None = None
        self._spare = SpareBuffers()
        self._checking = threading.Lock()

    @property
    def verification(self) -> tuple[Verification, str]:
        """Whether what the model finds can be objects, and by what that is known."""
        if self._opened is None:
            return Verification.UNVERIFIED, "the model is not open"
        return self._opened.check.state, self._opened.check.reason

    def observations(self, at: float) -> list[Observation]:
        """What the rules should know of the model's boxes, observed `at` (Unix time)."""
        state, reason = self.verification
        implausible = float(state is Verification.IMPLAUSIBLE)
        return [Observation(metric="host.model_implausible", value=implausible, at=at, text=reason)]

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; stays known after `close`."""
        if self._info is None:
            raise ModelError("the model was not opened yet")
        return self._info

    def open(self) -> None:
        """Load the model, see that it is a detector, warm it up; does nothing if it is open.

        Raises ModelError, or MissingExtra where ONNX Runtime is not installed. The first start with TensorRT
        builds an engine, which takes minutes.
        """
        if self._opened is not None:
            return
        path, beside = _checked(self.settings.path)
        started = clock.monotonic()
        self._opened = self._understand(*self._load(path, identity(path, beside)))
        self._info = self._opened.info
        log.info(
            "model is ready",
            model=path.name,
            provider=self._info.provider,
            layout=self._info.layout,
            classes=len(self._info.classes),
            input="x".join(str(side) for side in self._info.input_size),
            seconds=round(clock.monotonic() - started, 2),
        )
        _report(self._opened.check, path.name)

    def close(self) -> None:
        """Let go of the model and its memory; may be called twice."""
        self._opened = None
        self._spare.clear()

    def detect(self, frames: Sequence[Frame]) -> DetectedBatch:
        """Detect on frames of any shapes; those that need the same input size share a run.

        Raises InferenceError; then no frame has a result.
        """
        opened = self._opened
        if opened is None:
            raise ModelError("the model is closed")
        found: list[Detections | None] = [None] * len(frames)
        seconds = [0.0, 0.0, 0.0]
        for indices, boxes in self._runs(frames, opened.layout):
            marks = [clock.monotonic()]
            with self._prepared([frames[index] for index in indices], boxes) as batch:
                marks.append(clock.monotonic())
                with opened.alone:
                    marks.append(clock.monotonic())
                    outputs = opened.runner.run(batch)
                    marks.append(clock.monotonic())
            for row, (index, box) in enumerate(zip(indices, boxes, strict=True)):
                found[index] = self._read(opened, outputs, row, box)
            marks.append(clock.monotonic())
            began, prepared, free, ran, read = marks
            spent = (prepared - began, ran - free, read - ran)  # waiting for another thread's run is no work
            seconds = [total + more for total, more in zip(seconds, spent, strict=True)]
        return DetectedBatch(
            detections=tuple(one for one in found if one is not None),
            preprocess=seconds[0],
            inference=seconds[1],
            postprocess=seconds[2],
        )

    def candidates(self, frame: Frame) -> Candidates:
        """Boxes of one frame above the confidence, before suppression, in input pixels: to compare models."""
        opened = self._opened
        if opened is None:
            raise ModelError("the model is closed")
        ((_, boxes),) = self._runs([frame], opened.layout)
        with self._prepared([frame], boxes) as batch, opened.alone:
            outputs = opened.runner.run(batch)
        return opened.layout.decode(outputs[opened.boxes_output][0], self.settings.confidence, boxes[0].size)

    def _runs(self, frames: Sequence[Frame], layout: Layout) -> list[tuple[list[int], list[Letterbox]]]:
        """Which frames (by index) go into which model run, with their letterboxes."""
        groups: dict[tuple[int, int], tuple[list[int], list[Letterbox]]] = {}
        for index, frame in enumerate(frames):
            box = self._letterbox(frame, stretched=layout.stretched)
            indices, boxes = groups.setdefault(box.size, ([], []))
            indices.append(index)
            boxes.append(box)
        step = self.info.max_batch
        return [
            (indices[start : start + step], boxes[start : start + step])
            for indices, boxes in groups.values()
            for start in range(0, len(indices), step)
        ]

    def _letterbox(self, frame: Frame, *, stretched: bool) -> Letterbox:
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise InferenceError(
                f"camera {frame.camera}: frame {frame.index} is no colour image "
                f"(shape {image.shape}, {image.dtype})",
                kind=InferenceFailure.OTHER,
            )
        height, width = image.shape[:2]
        info = self.info
        return plan(
            (height, width),
            info.input_size,
            stride=info.stride,
            minimal=info.dynamic_size,
            stretched=stretched,
        )

    @contextmanager
    def _prepared(self, frames: Sequence[Frame], boxes: Sequence[Letterbox]) -> Iterator[NDArray[Any]]:
        """The model's input; its memory is lent until the model has run."""
        info = self.info
        # it grows with the batches that come, not with max_batch
        capacity = len(frames) if info.dynamic_batch else info.max_batch
        with self._spare.lend(InputType(info.input_type), boxes[0].size, capacity) as buffer:
            try:
                for slot, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
                    buffer.write(slot, frame.image, box)
            except cv2.error as error:
                raise InferenceError(
                    f"a frame cannot be resized: {error}", kind=InferenceFailure.OTHER
                ) from error
            yield buffer.array[:capacity]

    def _read(self, opened: _Opened, outputs: list[NDArray[Any]], row: int, box: Letterbox) -> Detections:
        settings = self.settings
        found = opened.layout.decode(outputs[opened.boxes_output][row], settings.confidence, box.size)
        if opened.check.undecided:
            self._check(opened, found, box.size)
        if opened.layout.suppressed:
            kept = np.argsort(-found.scores, kind="stable")[: settings.max_detections]
        else:
            kept = suppress(
                found.boxes, found.scores, found.class_ids, iou=settings.iou, limit=settings.max_detections
            )
        embedding = None
        if opened.embedding_output is not None:
            embedding = outputs[opened.embedding_output][row].astype(np.float32).reshape(-1)
            embedding.flags.writeable = False
        boxes, scores, class_ids = box.to_source(found.boxes[kept]), found.scores[kept], found.class_ids[kept]
        for array in (boxes, scores, class_ids):
            array.flags.writeable = False
        return Detections(
            boxes=boxes,
            scores=scores,
            class_ids=class_ids,
            threshold=settings.confidence,
            candidates=len(found),
            embedding=embedding,
        )

    def _check(self, opened: _Opened, found: Candidates, size: tuple[int, int]) -> None:
        with self._checking:
            if opened.check.add(found, size):
                _report(opened.check, opened.info.name)

    def _load(self, path: Path, sha256: str) -> tuple[Runner, str]:
        """An open session on the provider that really works, and the model's sha256."""
        runtime = providers.load_runtime()
        _, threads = self._share()
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
        return runner, sha256

    def _share(self) -> tuple[int, int]:
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
                bounds = _profile(
                    shape, self._input_size(shape, metadata), metadata.stride, self._batch(shape)
                )
                shapes = bounds if dynamic else {}
                chosen.append((name, providers.tensorrt_options(device, engines, half=half, shapes=shapes)))
            else:
                chosen.append(name)
        return chosen

    def _batch(self, shape: InputShape) -> int:
        return shape.batch or self.settings.max_batch

    def _input_size(self, shape: InputShape, metadata: Metadata) -> tuple[int, int]:
        """The size of a static model, else the largest sides an image may take, multiples of the stride."""
        asked = self.settings.input_size
        free = (asked, asked) if asked else metadata.image_size or (_DEFAULT_SIZE, _DEFAULT_SIZE)
        stride = metadata.stride
        rounded = [-(-side // stride) * stride for side in free]
        return shape.height or rounded[0], shape.width or rounded[1]

    def _understand(self, runner: Runner, sha256: str) -> _Opened:
        """Run the model on a trial image, and learn from what it gives what it is."""
        shape, metadata = runner.input, parse(runner.metadata, runner.path)
        size = self._input_size(shape, metadata)
        tried = size if runner.threads == 0 else _smaller(shape, size, metadata.stride)
        input_type = _input_type(shape, metadata)
        try:
            outputs = runner.warm_up(trial_batch(input_type, tried, shape.batch or 1))
        except InferenceError as error:
            raise ModelError(f"model {runner.path} cannot run: {error}") from error
        _small_enough(runner.path, outputs)
        embedding = runner.outputs.index(EMBEDDING) if EMBEDDING in runner.outputs else None
        others = [index for index in range(len(outputs)) if index != embedding]
        others.sort(key=lambda index: outputs[index].ndim != 3)  # YOLOv5 exports may carry raw heads as well
        names = self.settings.names or metadata.names
        facts = ModelFacts(size=tried, classes=len(names), end_to_end=metadata.end_to_end)
        try:
            layout, doubt = recognise(
                [outputs[index] for index in others], facts, task=metadata.task, wanted=self.settings.layout
            )
        except ModelError as error:
            raise ModelError(f"model {runner.path} {error}") from None
        first = outputs[others[0]]
        on_cpu = runner.threads > 0
        info = ModelInfo(
            path=str(runner.path),
            sha256=sha256,
            name=runner.path.stem,
            classes=names or tuple(f"class{n}" for n in range(layout.classes(first.shape[1:]))),
            input_size=size,
            stride=metadata.stride,
            input_type=input_type.value,
            dynamic_batch=shape.batch is None,
            dynamic_size=shape.height is None and shape.width is None,
            max_batch=self._batch(shape),
            layout=layout.name,
            embedding_size=0 if embedding is None else int(np.prod(outputs[embedding].shape[1:])),
            provider=runner.provider,
            threads=runner.threads,
            lanes=self._share()[0] if on_cpu else self.settings.lanes or 2,
            runtime=f"onnxruntime {providers.load_runtime().__version__}",
            source=metadata.description,
        )
        check = BoxCheck(len(names), doubted=doubt)
        if not doubt:
            check.add_trial(layout.decode(first[0], self.settings.confidence, tried), tried)
        return _Opened(
            runner=runner,
            alone=nullcontext() if on_cpu else threading.Lock(),
            info=info,
            layout=layout,
            boxes_output=others[0],
            embedding_output=embedding,
            check=check,
        )


def _report(check: BoxCheck, model: str) -> None:
    if check.state is Verification.VERIFIED:
        log.info("model is verified: its boxes can be objects", model=model, by=check.reason)
    elif check.state is Verification.UNVERIFIED:
        log.info("model is not verified yet, its first boxes decide", model=model, reason=check.reason)
    else:
        log.error(
            "the model's boxes cannot be objects",
            model=model,
            reason=check.reason,
            advice="export it anew with `vedette model prepare`, or set model.layout",
        )


def _checked(setting: str) -> tuple[Path, tuple[Path, ...]]:
    """The model's file, and those beside it that hold its weights."""
    path = Path(setting) if setting else DEMO_MODEL
    if path.suffix.lower() in _EXPORT_FIRST:
        raise ModelError(f"model {path} is no ONNX file: make one with `vedette model prepare`")
    return path, onnx_file.check(path)


def _small_enough(path: Path, outputs: Sequence[NDArray[Any]]) -> None:
    """What a graph leaves open until it runs is held to the limit of what it declares."""
    taken, most = max((output.nbytes for output in outputs), default=0), onnx_file.largest_tensor()
    if taken > most:
        raise ModelError(
            f"model {path} gives an output of {taken >> 20} MiB; at most {most >> 20} MiB are accepted on this box"
        )


def _input_type(shape: InputShape, metadata: Metadata) -> InputType:
    if shape.dtype != "uint8":
        return InputType(shape.dtype)
    if not shape.pixels:
        return InputType.UINT8_PLANES
    return InputType.UINT8_BGR if metadata.input_type == InputType.UINT8_BGR.value else InputType.UINT8_PIXELS


def _smaller(shape: InputShape, size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Half of `size` where the model leaves it free: ONNX Runtime keeps some of what a trial takes for good."""
    height, width = (max(stride, side // 2 // stride * stride) for side in size)
    return shape.height or height, shape.width or width


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
