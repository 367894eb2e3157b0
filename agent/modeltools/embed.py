"""Graph surgery on ONNX detectors: an embedding output, uint8 images as input, half floats, a fixed size.

Needs the library `onnx` (extra `export`); the daemon never imports this module. Every function changes the
model it is given and returns None or what it found.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]  # typed in newer releases
from onnx import TensorProto, helper, numpy_helper, shape_inference

from agent.core.errors import ModelError
from agent.core.printable import printable
from agent.detection import onnx_file
from agent.detection.metadata import INPUT_KEY
from agent.detection.preprocess import InputType

EMBEDDING = "embedding"
FIRST_STEP = "input/transpose"
"""The node that reads the frames of a model that takes uint8, (batch, height, width, 3), and makes planes of them."""

_UPSAMPLING = ("Resize", "Upsample")


def add_embedding(model: Any) -> str:
    """Add the output `embedding` (batch, channels): the backbone's last feature map, averaged over its area.

    Returns the name of that feature map. Raises ModelError where the graph has none.
    """
    graph = model.graph
    if any(output.name == EMBEDDING for output in graph.output):
        raise ModelError("has an output called embedding already: it was prepared before")
    tensor = backbone_output(model)
    channels, kind = _channels_and_type(model, tensor)
    graph.node.extend(
        [
            helper.make_node("GlobalAveragePool", [tensor], ["embedding_pooled"], name="embedding/pool"),
            helper.make_node(
                "Flatten", ["embedding_pooled"], ["embedding_flat"], name="embedding/flatten", axis=1
            ),
            helper.make_node(
                "Cast", ["embedding_flat"], [EMBEDDING], name="embedding/cast", to=TensorProto.FLOAT
            ),
        ]
    )
    if kind == TensorProto.FLOAT:  # nothing to cast
        graph.node.pop()
        graph.node[-1].output[0] = EMBEDDING
    batch = graph.input[0].type.tensor_type.shape.dim[0]
    size = batch.dim_param or batch.dim_value
    graph.output.append(
        helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, [size, channels or "channels"])
    )
    return tensor


def backbone_output(model: Any) -> str:
    """The last feature map of the backbone.

    A YOLO's neck begins by enlarging the deepest map, so that map is what the first Resize reads (SPPF in
    YOLOv5 and v8, C2PSA in YOLO11, ...). A detector without a neck: the last of its smallest maps that a
    convolution made.
    """
    for node in model.graph.node:  # in topological order, as ONNX demands
        if node.op_type in _UPSAMPLING:
            return str(node.input[0])
    convolutions = {node.output[0] for node in model.graph.node if node.op_type == "Conv"}
    areas = {
        name: shape[2] * shape[3]
        for name, shape in _shapes(model).items()
        if name in convolutions and len(shape) == 4 and shape[2] * shape[3] > 0
    }
    if not areas:
        raise ModelError("has no feature map to make an embedding of")
    smallest = min(areas.values())
    return [name for name, area in areas.items() if area == smallest][-1]


def rename(graph: Any, name: str, to: str) -> None:
    """Call a value `to` wherever a node makes or reads it."""
    for node in graph.node:
        for place in (node.input, node.output):
            for index, value in enumerate(place):
                if value == name:
                    place[index] = to


def take_uint8(model: Any, *, of_bytes: bool = False) -> None:
    """Let the model take (batch, height, width, 3) uint8 BGR, as cameras deliver, and normalise inside.

    `of_bytes` is True for a model that takes 0..255 as it is: nothing is divided then.

    A quarter of the bytes cross to a GPU. Where a convolution reads the input, turning BGR to RGB and dividing by 255
    go into its weights and cost nothing from then on (not the division in half precision: the weights would
    lose digits); else they become nodes.
    """
    graph = model.graph
    (old,) = graph.input
    kind = old.type.tensor_type.elem_type
    if kind == TensorProto.UINT8:
        raise ModelError("takes uint8 already")
    batch, _, height, width = (dim.dim_param or dim.dim_value for dim in old.type.tensor_type.shape.dim)
    name = "pictures"
    weights = _weights_on(graph, old.name)
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Transpose", [], {"perm": [0, 3, 1, 2]})]
    if weights is None:
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0], dtype=np.int64), "input/rgb"))
        steps.append(("Gather", ["input/rgb"], {"axis": 1}))
    steps.append(("Cast", [], {"to": kind}))
    if not of_bytes and (weights is None or kind != TensorProto.FLOAT):
        scale = np.array(255, dtype=helper.tensor_dtype_to_np_dtype(kind))
        graph.initializer.append(numpy_helper.from_array(scale, "input/scale"))
        steps.append(("Div", ["input/scale"], {}))
    if weights is not None:
        turned = numpy_helper.to_array(weights)[:, ::-1]
        scaled = turned / np.float32(255) if kind == TensorProto.FLOAT and not of_bytes else turned
        weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(scaled), weights.name))
    before, last = [], name
    for number, (operator, more, attributes) in enumerate(steps, start=1):
        made = old.name if number == len(steps) else f"input/{operator.lower()}ed"
        before.append(
            helper.make_node(operator, [last, *more], [made], name=f"input/{operator.lower()}", **attributes)
        )
        last = made
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(name, TensorProto.UINT8, [batch, height, width, 3]))
    set_metadata(model, INPUT_KEY, InputType.UINT8_BGR.value)


def _weights_on(graph: Any, image: str) -> Any | None:
    """The weights through which alone the input is read: one convolution's, that nobody else uses; else None."""
    readers = [node for node in graph.node if image in node.input]
    if len(readers) != 1 or readers[0].op_type != "Conv":
        return None
    name = readers[0].input[1]
    users = sum(list(node.input).count(name) for node in graph.node)
    found = [one for one in graph.initializer if one.name == name]
    grouped = any(one.name == "group" and one.i != 1 for one in readers[0].attribute)
    return found[0] if found and users == 1 and not grouped else None


def fix_size(model: Any, size: tuple[int, int]) -> None:
    """Fix the free dimensions of the input: one image of (height, width)."""
    for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, *size), strict=True):
        if not dim.dim_value:
            dim.dim_value = value
    for output in model.graph.output:  # inferred anew from the input
        for dim in output.type.tensor_type.shape.dim:
            if not dim.dim_value:
                dim.Clear()
    model.CopyFrom(shape_inference.infer_shapes(model))


def to_half(model: Any) -> Any:
    """A copy of the model in half precision, input and outputs too."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=False)


def is_half(model: Any) -> bool:
    """Whether weights of the model are in half precision, whatever its input is."""
    return any(weight.data_type == TensorProto.FLOAT16 for weight in model.graph.initializer)


def set_metadata(model: Any, key: str, value: str) -> None:
    """Set one metadata entry, replacing an older one."""
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    model.metadata_props.add(key=key, value=value)


def opset_of(model: Any) -> int:
    """The version of the standard operators."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _channels_and_type(model: Any, tensor: str) -> tuple[int, int]:
    """Channels (0 where shape inference does not know) and element type of a feature map."""
    inferred = shape_inference.infer_shapes(model).graph
    for value in (*inferred.value_info, *inferred.output, *inferred.input):
        if value.name == tensor:
            shape = value.type.tensor_type.shape.dim
            return (shape[1].dim_value if len(shape) == 4 else 0), value.type.tensor_type.elem_type
    return 0, model.graph.input[0].type.tensor_type.elem_type


def _shapes(model: Any) -> dict[str, list[int]]:
    """Shapes of the inner tensors that can be inferred, free dimensions 0."""
    inferred = shape_inference.infer_shapes(model).graph
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }


def _sort(graph: Any) -> None:
    """Put the nodes behind those whose outputs they read, as ONNX demands and half exports of Ultralytics do not."""
    made_by = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    awaited = [{made_by[name] for name in _read_by(node) if name in made_by} for node in graph.node]
    if all(max(needs, default=-1) < at for at, needs in enumerate(awaited)):
        return
    try:
        order = [*graphlib.TopologicalSorter(dict(enumerate(awaited))).static_order()]
    except graphlib.CycleError:
        return  # the checker says so
    nodes = [graph.node[at] for at in order]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _read_by(node: Any) -> Iterator[str]:
    """What a node reads, graphs inside of it (of If, Loop) too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for one in inner.node:
                yield from _read_by(one)


def load(path: str) -> Any:
    """The ONNX model at `path`, checked. Raises ModelError."""
    onnx_file.check(Path(path))
    try:
        model = onnx.load(path)
        _sort(model.graph)
        onnx.checker.check_model(model)
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"model {path} is not a sound ONNX file: {printable(' '.join(str(error).split()), 200)}"
        ) from error
    except DecodeError as error:
        raise ModelError(f"model {path} is not an ONNX file, truncated or corrupt: copy it again") from error
    if len(model.graph.input) != 1:
        raise ModelError(f"model {path} takes {len(model.graph.input)} inputs; a detector takes one image")
    return model
