"""INT8 held to fp32: calibrated on some frames of a camera, checked on others, more left in float until it agrees."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.types import Frame
from agent.detection import ModelInfo
from agent.detection.cpu import read_cpu
from agent.detection.layouts import LAYOUTS
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.metadata import INT8_ENGINES_KEY, INT8_F1_KEY, INT8_WEIGHTS_KEY, PRECISION_KEY
from agent.detection.preprocess import BatchBuffer, InputType, plan
from agent.detection.session import Detector
from agent.modeltools import quantise
from agent.modeltools.embed import set_metadata
from agent.modeltools.frames import Progress

LEAST_F1 = 0.97
"""Boxes of fp32 that INT8 must find again on frames that it was not calibrated on."""

MOST_FRAMES = 72
"""Frames that are taken: two of three to calibrate, the third to check."""

LEAST_FRAMES = 24
LEAST_BOXES = 20
"""Boxes of fp32 on the frames to check on: on fewer, an F1 proves nothing."""

_KNOWN = ("channels", "transposed", "rows", "end2end")
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "DynamicQuantizeLinear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Report:
    """What was reached: F1 of INT8 by fp32 over `boxes` of both on `checked` frames, after `calibrated` others.

    `in_float` names what was left in float beside the decoding, `convolutions` counts those in INT8. `engines` are the
    providers on which it agrees. `speed_ratio`
    is the CPU time of a frame in fp32 by that in INT8, with ONNX Runtime on the CPU that made it.
    """

    f1: float
    least_f1: float
    boxes: int
    checked: int
    calibrated: int
    in_float: str
    convolutions: int
    weight_bits: int
    engines: str
    percentile: float
    speed_ratio: float


def refuse_unknown(model: Any, info: ModelInfo) -> None:
    """Raise ModelError for a model of which it is not known what must stay in float."""
    if any(node.op_type in _QUANTISED for node in model.graph.node):
        raise ModelError(f"model {info.path} is quantised already: give the fp32 model that it was made of")
    if info.input_type != InputType.FLOAT32.value:
        raise ModelError(
            f"model {info.path} takes {info.input_type}; --int8 starts from float32: export it so"
        )
    if info.layout not in _KNOWN:
        raise ModelError(
            f"model {info.path} has the layout {info.layout}: what must stay in float is known of {', '.join(_KNOWN)} "
            "only; prepare it without --int8"
        )


def refuse_frames(frames: Sequence[NDArray[np.uint8]], source: str) -> None:
    """Raise ModelError for too few frames."""
    if len(frames) < LEAST_FRAMES:
        raise ModelError(
            f"--frames {source}: {len(frames)} frames can be read, at least {LEAST_FRAMES} are needed: give a longer "
            "video, or a folder with more images"
        )


def make_int8(
    model: Any,
    info: ModelInfo,
    frames: Sequence[NDArray[np.uint8]],
    folder: Path,
    *,
    least_f1: float,
    progress: Progress,
) -> tuple[Any, Int8Report]:
    """The model in INT8 and what was reached. `folder` is for files on the way, `info` that of the fp32 model.

    Raises ModelError where the frames hold too few boxes, or INT8 does not agree with fp32 whatever is left in float.
    """
    exact = folder / "exact.onnx"
    quantise.name_nodes(model)
    onnx.save(model, str(exact))
    held_out = [frame for number, frame in enumerate(frames) if number % 3 == 2]
    calibrating = [frame for number, frame in enumerate(frames) if number % 3 != 2]
    _refuse_empty(exact, held_out)
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints
        inputs = _inputs(info, progress(calibrating, len(calibrating), "calibrating"))
        try:
            ranges = quantise.calibrate(exact, folder, inputs)
        except MemoryError:
            raise ModelError(
                "memory is too small to calibrate on this box: prepare the model on a larger one, of this kind of CPU"
            ) from None
    always, best = quantise.exact_nodes(model), (0.0, "")
    saturates = read_cpu().saturates
    for in_float, more in quantise.rungs(model):
        made = quantise.quantised(model, ranges, [*always, *more], reduce_range=saturates)
        onnx.save(made, str(folder / "int8.onnx"))
        shown = progress(held_out, len(held_out), f"checking ({in_float} in float)")
        matches, speed = _compare(exact, folder / "int8.onnx", shown)
        f1 = round(matches.f1(1) or 0.0, 4)
        best = max(best, (f1, in_float))
        if f1 >= least_f1:
            report = Int8Report(
                f1=f1,
                least_f1=least_f1,
                boxes=matches.boxes,
                checked=len(held_out),
                calibrated=len(calibrating),
                in_float=in_float,
                convolutions=len(set(quantise.convolutions(model)) - set(more)),
                weight_bits=7 if saturates else 8,
                engines=" ".join(_engines(exact, folder / "int8.onnx", held_out, least_f1)),
                percentile=quantise.PERCENTILE,
                speed_ratio=round(speed, 2),
            )
            _mark(made, report)
            return made, report
    raise ModelError(
        f"in INT8 the model {info.path} finds other boxes than in fp32: F1 {best[0]:.3f} at best, with {best[1]} in "
        f"float, and {least_f1:g} is asked for; give more frames of this camera with --frames, permit less with "
        "--least-f1, or prepare it without --int8"
    )


def _mark(model: Any, report: Int8Report) -> None:
    set_metadata(model, PRECISION_KEY, "int8")
    set_metadata(model, INT8_F1_KEY, str(report.f1))
    set_metadata(model, INT8_WEIGHTS_KEY, str(report.weight_bits))
    set_metadata(model, INT8_ENGINES_KEY, report.engines)


def _inputs(info: ModelInfo, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[Any]]:
    """The model's input for each image, as the agent makes it."""
    stretched = next(layout.stretched for layout in LAYOUTS if layout.name == info.layout)
    for image in images:
        shape = (image.shape[0], image.shape[1])
        box = plan(shape, info.input_size, stride=info.stride, minimal=info.dynamic_size, stretched=stretched)
        buffer = BatchBuffer(
            InputType(info.input_type), box.size, 1 if info.dynamic_batch else info.max_batch
        )
        for slot in range(len(buffer.array)):
            buffer.write(slot, image, box)
        yield buffer.array


def _engines(exact: Path, int8: Path, images: Sequence[NDArray[np.uint8]], least_f1: float) -> Iterator[str]:
    """The providers on which INT8 agrees: ONNX Runtime's, as was just seen, and OpenVINO's where it is there."""
    yield "cpu"
    if find_spec("openvino") is not None:
        matches, _ = _compare(exact, int8, images, provider="openvino")
        if (matches.f1(1) or 0.0) >= least_f1:
            yield "openvino"


def _opened(path: Path, provider: str = "cpu") -> Detector:
    detector = Detector(ModelSettings(path=str(path), provider=provider, threads=1, lanes=1))
    detector.open()
    return detector


def _frame(image: NDArray[np.uint8]) -> Frame:
    return Frame(camera="int8", index=0, image=image, captured_at=0.0, monotonic_ns=0)


def _refuse_empty(path: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    detector = _opened(path)
    found = sum(len(detector.detect([_frame(image)]).detections[0]) for image in images)
    if found < LEAST_BOXES:
        raise ModelError(
            f"the model finds {found} boxes on the {len(images)} frames that INT8 would be checked on, at least "
            f"{LEAST_BOXES} are needed, as fewer prove nothing: give --frames with objects in them"
        )


def _compare(
    exact: Path, int8: Path, images: Iterable[NDArray[np.uint8]], *, provider: str = "cpu"
) -> tuple[BoxMatches, float]:
    """Boxes of both on all images, and by how much the second is faster, frame by frame in turn."""
    both, matches = [_opened(exact), _opened(int8, provider)], BoxMatches()
    names, seconds = both[0].info.classes, []
    for image in images:
        frame, found, took = _frame(image), [], []
        for detector in both:
            began = time.thread_time()  # of one thread: other work on the box does not count
            found.append(detector.detect([frame]).detections[0])
            took.append(time.thread_time() - began)
        seconds.append(took)
        matches += match_boxes(found[0], names, found[1], names)
    before, after = np.median(seconds, axis=0)
    return matches, float(before / after)
