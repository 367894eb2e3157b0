"""Let a detector letterbox frames itself: whole frames in, boxes in the frame's pixels out, nothing resized on the CPU.

Needs the library `onnx` (extra `export`). By the law of `preprocess.plan`: the same sizes to the pixel, bilinear
without antialiasing as cv2's INTER_LINEAR, in whole grey levels, centred on the same grey. cv2 computes in whole
numbers, so 6 of 100 values differ by one level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from agent.detection.metadata import LETTERBOX_KEY
from agent.detection.preprocess import PADDING, plan
from agent.modeltools.embed import EMBEDDING, FIRST_STEP, opset_of, rename, set_metadata

LEAST_OPSET = 13
"""Since which Slice, Pad and Unsqueeze take all their parameters as inputs."""

_MIN_AXES_INPUT = 18  # since which ReduceMin takes its axes as an input
_PREFIX = "frame/"


def letterbox_inside(
    model: Any, target: tuple[int, int], *, stride: int, minimal: bool, frame: tuple[int, int] | None = None
) -> None:
    """Have `model` take (batch, height, width, 3) uint8 BGR frames, its boxes (batch, 4 + classes, n) in their pixels.

    The model takes uint8 already (`embed.take_uint8`), of at most `target` (height, width); `minimal` as in `plan`.
    `frame` is the one size of frames that it shall take, None: any. Changes the model; the boxes become float32.
    """
    graph, steps = model.graph, _Steps(opset_of(model))
    first = next(node for node in graph.node if node.name == FIRST_STEP)
    (old,) = graph.input
    name, batch = old.name, old.type.tensor_type.shape.dim[0]
    size = batch.dim_value or batch.dim_param
    if frame:
        places = _known(steps, frame, target, stride=stride, minimal=minimal)
    else:
        places = _computed(steps, name, target, stride=stride, minimal=minimal)
    _resized(steps, name, places, first.output[0])
    graph.node.remove(first)
    before = [*steps.nodes, *graph.node]
    steps.nodes = []
    _placed(steps, graph, places)
    del graph.node[:]
    graph.node.extend([*before, *steps.nodes])
    graph.initializer.extend(steps.constants)
    sides = frame or ("frame_height", "frame_width")
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(name, TensorProto.UINT8, [size, *sides, 3]))
    set_metadata(model, LETTERBOX_KEY, "graph")
    set_metadata(model, "imgsz", str(list(target)))


class _Steps:
    """Nodes and constants as they are added; every name gets the prefix unless it is one of the model's."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, key: str, value: Any, kind: Any = np.int64) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, kind), _PREFIX + key))
        return _PREFIX + key

    def node(
        self, operator: str, inputs: list[str], made: str, *, outside: bool = False, **attributes: Any
    ) -> str:
        made = made if outside else _PREFIX + made
        self.nodes.append(
            helper.make_node(
                operator, inputs, [made], name=f"{_PREFIX}{len(self.nodes)}/{made}", **attributes
            )
        )
        return made

    def cast(self, value: str, made: str, kind: Any) -> str:
        return self.node("Cast", [value], made, to=kind)


class _Places:
    """Names of what is known of the letterbox: `sizes` (height, width) of the resized frame, its `pads` (8,), and in
    float32 (1, 4, 1) the `shift` that boxes cx, cy, w, h are lessened by and the `gain` that divides them then."""

    def __init__(self, sizes: str, pads: str, shift: str, gain: str) -> None:
        self.sizes, self.pads, self.shift, self.gain = sizes, pads, shift, gain


def _known(
    steps: _Steps, frame: tuple[int, int], target: tuple[int, int], *, stride: int, minimal: bool
) -> _Places:
    """Of frames of one size: constants, as CUDA graphs and TensorRT like them."""
    box = plan(frame, target, stride=stride, minimal=minimal)
    (top, left), (height, width) = box.offset, box.content
    below, right = box.size[0] - height - top, box.size[1] - width - left
    gains = [width / frame[1], height / frame[0]] * 2
    return _Places(
        sizes=steps.constant("content", [height, width]),
        pads=steps.constant("pads", [0, 0, top, left, 0, 0, below, right]),
        shift=steps.constant("shift", [[[left], [top], [0], [0]]], np.float32),
        gain=steps.constant("gain", [[[gain] for gain in gains]], np.float32),
    )


def _computed(steps: _Steps, name: str, target: tuple[int, int], *, stride: int, minimal: bool) -> _Places:
    """Of any frame: `plan` in the graph, in double precision as Python computes it."""
    node, constant, cast = steps.node, steps.constant, steps.cast
    double, whole = TensorProto.DOUBLE, TensorProto.INT64
    shape = node("Shape", [name], "shape")
    one, three = constant("one", [1]), constant("three", [3])
    sides = cast(node("Slice", [shape, one, three], "sides"), "sides_double", double)
    ratios = node("Div", [constant("target", target, np.float64), sides], "ratios")
    if steps.opset < _MIN_AXES_INPUT:
        scale = node("ReduceMin", [ratios], "scale", axes=[0], keepdims=1)
    else:
        scale = node("ReduceMin", [ratios, constant("zero", [0])], "scale", keepdims=1)
    exact = node("Round", [node("Mul", [sides, scale], "scaled")], "rounded")  # half to even, as Python
    content = node("Max", [exact, constant("least", [1.0], np.float64)], "content_double")
    content_whole = cast(content, "content", whole)
    spare = node("Sub", [constant("target_whole", target), content_whole], "spare")
    if minimal:
        spare = node("Mod", [spare, constant("stride", [stride])], "spare_least")
    half = node("Mul", [cast(spare, "spare_double", double), constant("half", [0.5], np.float64)], "halves")
    tenth = constant("tenth", [0.1], np.float64)
    before = node("Round", [node("Sub", [half, tenth], "half_less")], "before_double")
    after = node("Round", [node("Add", [half, tenth], "half_more")], "after_double")
    nothing = constant("nothing", [0, 0])
    pads = node(
        "Concat",
        [nothing, cast(before, "before", whole), nothing, cast(after, "after", whole)],
        "pads",
        axis=0,
    )
    across = constant("across", [1, 0, 1, 0])  # (height, width) to x, y, w, h
    gains = node("Gather", [node("Div", [content, sides], "gains_double"), across], "gains")
    offsets = node("Concat", [before, constant("none", [0, 0], np.float64)], "offsets", axis=0)
    shifts = node("Gather", [offsets, constant("corner", [1, 0, 2, 3])], "shifts")
    rows = constant("rows", [1, 4, 1])
    return _Places(
        sizes=content_whole,
        pads=pads,
        shift=node("Reshape", [cast(shifts, "shifts_float", TensorProto.FLOAT), rows], "shift"),
        gain=node("Reshape", [cast(gains, "gains_float", TensorProto.FLOAT), rows], "gain"),
    )


def _resized(steps: _Steps, name: str, places: _Places, made: str) -> None:
    """Frames (B, H, W, 3) uint8 to `made`, (B, 3, height, width) of the letterbox, in float32 and whole grey levels.

    In float32: CUDA has no Pad for uint8, and half floats would round the weights.
    """
    node, constant = steps.node, steps.constant
    planes = node("Transpose", [name], "planes", perm=[0, 3, 1, 2])
    values = steps.cast(planes, "values", TensorProto.FLOAT)
    start, two = constant("start", [0]), constant("two", [2])
    ahead = node("Slice", [node("Shape", [planes], "planes_shape"), start, two], "ahead")
    sizes = node("Concat", [ahead, places.sizes], "sizes", axis=0)
    small = node(
        "Resize", [values, "", "", sizes], "small", mode="linear", coordinate_transformation_mode="half_pixel"
    )
    grey = constant("grey", PADDING, np.float32)
    # cv2 cuts the two products that it adds to quarters of a level: an eighth is lost on average
    levels = node(
        "Floor", [node("Add", [small, constant("up", 0.5 - 0.125, np.float32)], "raised")], "levels"
    )
    node("Pad", [levels, places.pads, grey], made, outside=True)


def _placed(steps: _Steps, graph: Any, places: _Places) -> None:
    """The boxes of the output (batch, 4 + classes, n) in pixels of the frame."""
    node, constant = steps.node, steps.constant
    output = next(one for one in graph.output if one.name != EMBEDDING)
    name, inside = output.name, f"{_PREFIX}inside"
    rename(graph, name, inside)
    every = steps.cast(inside, "inside_float", TensorProto.FLOAT)
    begin, four = constant("begin", [0]), constant("four", [4])
    end, axis = constant("end", [np.iinfo(np.int64).max]), constant("axis", [1])
    boxes = node("Slice", [every, begin, four, axis], "boxes")
    scores = node("Slice", [every, four, end, axis], "scores")
    moved = node("Sub", [boxes, places.shift], "moved")
    node(
        "Concat",
        [node("Div", [moved, places.gain], "boxes_in_frame"), scores],
        name,
        outside=True,
        axis=1,
    )
    output.type.tensor_type.elem_type = TensorProto.FLOAT
