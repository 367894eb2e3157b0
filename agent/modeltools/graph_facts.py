"""What a graph is: parameters, floating-point operations, operators. Needs the library `onnx` (extra `export`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto, shape_inference

_NUMBERS = {
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE,
    TensorProto.INT8, TensorProto.UINT8,
}  # fmt: skip
_CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
_SIZED = {"Resize", "Upsample", "Clip", "Pad"}
_PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul"}
_WEIGHTS = {"QLinearConv": 3, "QLinearMatMul": 3}  # which input holds the weights; 1 of the others


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """`flops` is for one image of `input_size`; None where `unsized` of the operators that count have no known size."""

    parameters: int
    flops: float | None
    unsized: int
    input_size: tuple[int, int]
    opset: int
    producer: str
    operators: Mapping[str, int]
    metadata: Mapping[str, str]


def graph_facts(model: Any, input_size: tuple[int, int]) -> GraphFacts:
    """The facts of an ONNX model for an input of (height, width) pixels; `model` is changed: its sizes are fixed.

    FLOPs are twice the multiply-accumulates of convolutions and matrix products, as Ultralytics and thop count them;
    what else a graph does is left out.
    """
    _fix_sizes(model.graph, input_size)
    shapes = _shapes(shape_inference.infer_shapes(model, data_prop=True).graph)
    counted = [_flops(node, shapes) for node in model.graph.node if _counts(node)]
    known = [one for one in counted if one is not None]
    return GraphFacts(
        parameters=_parameters(model.graph),
        flops=None if len(known) < len(counted) else float(sum(known)),
        unsized=len(counted) - len(known),
        input_size=input_size,
        opset=max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        operators=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        metadata={one.key: one.value for one in model.metadata_props},
    )


def _parameters(graph: Any) -> int:
    """Numbers in weights; what only says how large a map becomes (Resize) and single constants are none."""
    sizes = {name for node in graph.node if node.op_type in _SIZED for name in node.input[1:]}
    return sum(
        math.prod(one.dims)
        for one in graph.initializer
        if one.data_type in _NUMBERS and one.dims and one.name not in sizes
    )


def _fix_sizes(graph: Any, input_size: tuple[int, int]) -> None:
    """One image of that size in, and whatever follows from it: what the file says of other tensors is dropped."""
    dims = graph.input[0].type.tensor_type.shape.dim
    if len(dims) == 4:
        channels_last = dims[3].dim_value in (1, 3) and dims[1].dim_value not in (1, 3)
        height = 1 if channels_last else 2
        for place, size in ((0, 1), (height, input_size[0]), (height + 1, input_size[1])):
            if dims[place].dim_value == 0:
                dims[place].dim_value = size
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


def _shapes(graph: Any) -> dict[str, Sequence[int]]:
    """The sizes of the tensors whose every side is known."""
    shapes: dict[str, Sequence[int]] = {one.name: tuple(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sides = tuple(side.dim_value for side in kind.shape.dim)
        if kind.HasField("shape") and all(sides):
            shapes[value.name] = sides
    return shapes


def _counts(node: Any) -> bool:
    return node.op_type in _CONVOLUTIONS | _PRODUCTS | {"ConvTranspose", "Gemm"}


def _flops(node: Any, shapes: Mapping[str, Sequence[int]]) -> float | None:
    """Of one convolution or product; None where a size is not known."""
    first, weights = shapes.get(node.input[0]), shapes.get(node.input[_WEIGHTS.get(node.op_type, 1)])
    made = shapes.get(node.output[0])
    if first is None or weights is None or made is None:
        return None
    if node.op_type == "ConvTranspose":  # each value that comes in meets the weights of its channel
        return 2.0 * math.prod(first) * math.prod(weights[1:])
    if node.op_type in _CONVOLUTIONS:  # each value that comes out is a sum over the weights of its channel
        return 2.0 * math.prod(made) * math.prod(weights[1:])
    transposed = node.op_type == "Gemm" and any(one.name == "transA" and one.i for one in node.attribute)
    return 2.0 * math.prod(made) * first[-2 if transposed else -1]
