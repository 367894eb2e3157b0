"""INT8 held to fp32: calibrated on some frames of a camera, checked on others, more left in float until it agrees."""

from __future__ import annotations

import contextlib
import io
import math
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

MOST_FRAMES = 144
"""Frames that are taken."""

MOST_CALIBRATING = 48
"""Of these to calibrate on, at most two of three; the others are held out."""

LEAST_FRAMES = 24
LEAST_BOXES = 20
"""Boxes of fp32 on the frames to check on: on fewer, an F1 proves nothing."""

ENOUGH_FRAMES, ENOUGH_BOXES = 24, 60
"""Of the frames held out only so many are checked on that both are reached."""

_KNOWN = ("channels", "transposed", "rows", "end2end")
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "DynamicQuantizeLinear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Report:
    """What was reached: F1 of INT8 by fp32 over `boxes` of both on `checked` frames, after `calibrated` others.

    `in_float` names what was left in float beside the decoding, `convolutions` counts those in INT8. `engines` are the
    providers on which it agrees, first the one that it was made for; `f1` is the least of theirs. `speed_ratio`
    is the CPU time of a frame in fp32 with ONNX Runtime by that in INT8 on the first engine, on the CPU that made it.
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
    calibrating, held_out = _parted(frames)
    checked = _with_boxes(exact, held_out)
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints
        inputs = _inputs(info, progress(calibrating, len(calibrating), "calibrating"))
        try:
            ranges = quantise.calibrate(exact, folder, inputs)
        except MemoryError:
            raise ModelError(
                "memory is too small to calibrate on this box: prepare the model on a larger one, of this kind of CPU"
            ) from None
    ladder = _Ladder(
        model=model,
        ranges=ranges,
        exact=exact,
        file=folder / "int8.onnx",
        images=checked,
        least_f1=least_f1,
        calibrated=len(calibrating),
        progress=progress,
    )
    reached = [one for one in map(ladder.climb, _engines()) if one is not None]
    if not reached:
        f1, in_float = ladder.best
        raise ModelError(
            f"in INT8 the model {info.path} finds other boxes than in fp32: F1 {f1:.3f} at best, with {in_float} in "
            f"float, and {least_f1:g} is asked for; give more frames of this camera with --frames, permit less with "
            "--least-f1, or prepare it without --int8"
        )
    made, report = max(reached, key=lambda one: one[1].speed_ratio)
    _mark(made, report)
    return made, report


@dataclass(slots=True, kw_only=True, eq=False)
class _Ladder:
    """Quantises a model for an engine, with more and more left in float until the boxes are those of fp32.

    `exact` is the model's file, `file` where each try goes, `best` the F1 reached and what was in float.
    """

    model: Any
    ranges: Any
    exact: Path
    file: Path
    images: Sequence[NDArray[np.uint8]]
    least_f1: float
    calibrated: int
    progress: Progress
    best: tuple[float, str] = (0.0, "")

    def climb(self, engine: str) -> tuple[Any, Int8Report] | None:
        """The fastest for `engine` that agrees with fp32 there and on ONNX Runtime; None: nothing does."""
        always, saturates = quantise.exact_nodes(self.model), read_cpu().saturates
        engines = list(dict.fromkeys((engine, "cpu")))  # what checks a model of itself opens it on the latter
        for in_float, more in quantise.rungs(self.model):
            made = quantise.quantised(
                self.model, self.ranges, [*always, *more], reduce_range=saturates, fused=engine != "cpu"
            )
            onnx.save(made, str(self.file))
            matches, f1, speed = self._checked(engines, f"{in_float} in float")
            self.best = max(self.best, (f1, in_float))
            if f1 >= self.least_f1:
                return made, Int8Report(
                    f1=f1,
                    least_f1=self.least_f1,
                    boxes=matches.boxes,
                    checked=len(self.images),
                    calibrated=self.calibrated,
                    in_float=in_float,
                    convolutions=len(set(quantise.convolutions(self.model)) - set(more)),
                    weight_bits=7 if saturates else 8,
                    engines=" ".join(engines),
                    percentile=quantise.PERCENTILE,
                    speed_ratio=round(speed, 2),
                )
        return None

    def _checked(self, engines: Sequence[str], about: str) -> tuple[BoxMatches, float, float]:
        """The matches and F1 on the engine that does worst (none is tried after one that fails), speed on the first."""
        worst, f1, first = BoxMatches(), 2.0, 0.0
        for engine in engines:
            shown = self.progress(self.images, len(self.images), f"checking on {engine} ({about})")
            matches, speed = _compare(self.exact, self.file, shown, provider=engine)
            first = first or speed
            reached = round(matches.f1(1) or 0.0, 4)
            if reached < f1:
                worst, f1 = matches, reached
            if f1 < self.least_f1:
                break
        return worst, f1, first


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


def _engines() -> tuple[str, ...]:
    """The providers for which INT8 can be made here."""
    return ("openvino", "cpu") if find_spec("openvino") is not None else ("cpu",)


def _parted(
    frames: Sequence[NDArray[np.uint8]],
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Those to calibrate on, spread over all, and the others."""
    count = min(MOST_CALIBRATING, 2 * len(frames) // 3)
    chosen = set(np.linspace(0, len(frames) - 1, count).round().astype(int).tolist())
    return (
        [frame for number, frame in enumerate(frames) if number in chosen],
        [frame for number, frame in enumerate(frames) if number not in chosen],
    )


def _opened(path: Path, provider: str = "cpu") -> Detector:
    detector = Detector(ModelSettings(path=str(path), provider=provider, threads=1, lanes=1))
    detector.open()
    return detector


def _frame(image: NDArray[np.uint8]) -> Frame:
    return Frame(camera="int8", index=0, image=image, captured_at=0.0, monotonic_ns=0)


def _with_boxes(path: Path, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """As many of the images, spread over all, as hold enough boxes; raises ModelError where all hold too few."""
    detector = _opened(path)
    found, taken = 0, []
    for number in _spread(len(images)):
        found += len(detector.detect([_frame(images[number])]).detections[0])
        taken.append(images[number])
        if len(taken) >= ENOUGH_FRAMES and found >= ENOUGH_BOXES:
            break
    if found < LEAST_BOXES:
        raise ModelError(
            f"the model finds {found} boxes on the {len(images)} frames that INT8 would be checked on, at least "
            f"{LEAST_BOXES} are needed, as fewer prove nothing: give --frames with objects in them"
        )
    return taken


def _spread(count: int) -> Iterator[int]:
    """All numbers below `count`, each next one far from those before (by the golden ratio)."""
    step = round(count * 0.618) or 1
    while math.gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


def _compare(
    exact: Path, int8: Path, images: Iterable[NDArray[np.uint8]], *, provider: str = "cpu"
) -> tuple[BoxMatches, float]:
    """Boxes of both on all images, and by how much the second is faster, frame by frame in turn."""
    both, matches = [_opened(exact), _opened(int8, provider)], BoxMatches()
    names, seconds = both[0].info.classes, []
    for image in images:
        frame, found, took = _frame(image), [], []
        for detector in both:
            began = time.process_time()  # other work on the box does not count
            found.append(detector.detect([frame]).detections[0])
            took.append(time.process_time() - began)
        seconds.append(took)
        matches += match_boxes(found[0], names, found[1], names)
    before, after = np.median(seconds, axis=0)
    return matches, float(before / after)
