"""Static INT8 quantisation of an ONNX detector: what stays in float, ranges of a camera's own frames, the rewriting.

Needs the libraries `onnx` and `onnxruntime` (extras `export` and `cpu`). What stays in float32, since boxes are lost
there first (measured on YOLO11n; with the last Concat quantised none is left: onnxruntime-inference-examples #528):

* the decoding of boxes, and the convolutions that nothing but it follows (the last six of a YOLO),
* of attention all but its convolutions: products of two activations spread over more than 8 bits hold.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

PERCENTILE = 99.999
"""Share of an activation's values that its 8 bits span; the few beyond are clipped."""

OPERATORS = ("Conv", "Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize", "Split")
"""What a YOLO's body consists of. The rest would gain nothing: shapes, and what stays in float."""

_CHUNK = 2  # frames whose activations are in memory at a time: 150 MB each for YOLO11n
_EXACT_BEFORE = ("Softmax", "Exp")  # a convolution that reads these only averages distances


class _Graph:
    """Who makes and who reads each tensor of a graph."""

    def __init__(self, graph: Any) -> None:
        self.nodes: list[Any] = list(graph.node)
        self.maker = {output: node for node in self.nodes for output in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def after(self, node: Any) -> Iterator[Any]:
        """The nodes that read what it makes."""
        return (reader for name in node.output for reader in self.readers.get(name, ()))

    def before(self, node: Any) -> Iterator[Any]:
        """The nodes that make what it reads."""
        return (self.maker[name] for name in node.input if name in self.maker)

    def learned(self, node: Any) -> bool:
        """Whether it is a convolution of feature maps."""
        averages = any(one.op_type in _EXACT_BEFORE for one in self.before(node))
        return node.op_type == "Conv" and not averages


def name_nodes(model: Any) -> None:
    """Give each node a name of its own; nodes are left out by name."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)


def exact_nodes(model: Any) -> list[str]:
    """Names of the nodes that stay in float: after the last convolutions, those themselves, and within attention."""
    graph = _Graph(model.graph)
    followed: set[str] = set()  # by a convolution of feature maps
    for node in reversed(graph.nodes):  # in topological order, as ONNX demands
        if any(one.name in followed or graph.learned(one) for one in graph.after(node)):
            followed.add(node.name)
    exact = {node.name for node in graph.nodes if node.name not in followed}
    for node in graph.nodes:
        if node.op_type == "MatMul":
            exact |= _to_convolutions(node, graph.after) | _to_convolutions(node, graph.before)
    return [node.name for node in graph.nodes if node.name in exact]


def convolutions(model: Any) -> list[str]:
    """Names of the convolutions of feature maps that are quantised, in the order of the graph."""
    graph, exact = _Graph(model.graph), set(exact_nodes(model))
    return [node.name for node in graph.nodes if graph.learned(node) and node.name not in exact]


def rungs(model: Any) -> Iterator[tuple[str, set[str]]]:
    """What else to leave in float, less and less in INT8: its name, and the nodes; the first is nothing.

    Of YOLO11n on a CPU without VNNI: the branches of the class scores cost nothing in speed (their convolutions by
    channel gain nothing), the first convolutions a tenth, the whole head a fifth.
    """
    graph, exact = _Graph(model.graph), set(exact_nodes(model))
    last = [node for node in graph.nodes if graph.learned(node) and node.name in exact]
    scores = {name for node in last if _scores(graph, node) for name in _branch(graph, node)}
    boxes = {name for node in last for name in _branch(graph, node)}
    learned = [node for node in graph.nodes if graph.learned(node) and node.name not in exact]
    first = {name for node in learned[:2] for name in (node.name, *_activation(graph, node))}
    quarter = {
        name for node in learned[: len(learned) // 4] for name in (node.name, *_activation(graph, node))
    }
    yield "nothing else", set()
    yield "the class scores' branches", scores
    yield "these and the first convolutions", scores | first
    yield "the head and the first convolutions", boxes | first
    yield "the head and the first quarter", boxes | quarter


def _scores(graph: _Graph, last: Any) -> bool:
    """Whether a last convolution gives class scores: a Sigmoid follows, which no box has."""
    seen, waiting = set[str](), list(graph.after(last))
    while waiting:
        node = waiting.pop()
        if node.op_type == "Sigmoid":
            return True
        if node.name not in seen:
            seen.add(node.name)
            waiting += graph.after(node)
    return False


def _branch(graph: _Graph, last: Any) -> set[str]:
    """The nodes before a last convolution, back to the feature map that several branches read."""
    found, waiting = set[str](), list(graph.before(last))
    while waiting:
        node = waiting.pop()
        alone = all(one.name in found or one is last for one in graph.after(node))
        gated = {one.op_type for one in graph.after(node)} == {"Sigmoid", "Mul"}  # SiLU reads it twice
        if node.name not in found and (alone or gated):
            found.add(node.name)
            waiting += graph.before(node)
    return found


def _activation(graph: _Graph, node: Any) -> set[str]:
    """The Sigmoid and Mul of a convolution's SiLU."""
    return {one.name for one in graph.after(node) if one.op_type in ("Sigmoid", "Mul")}


def _to_convolutions(start: Any, step: Any) -> set[str]:
    """The nodes from `start` on, up to the next convolutions."""
    found, waiting = set[str](), [start]
    while waiting:
        node = waiting.pop()
        if node.name not in found and node.op_type != "Conv":
            found.add(node.name)
            waiting += step(node)
    return found


def calibrate(path: Path, folder: Path, batches: Iterable[NDArray[Any]]) -> Any:
    """The range of each activation of the model at `path` over `batches`, which are its inputs."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    calibrator = create_calibrator(
        str(path),
        list(OPERATORS),
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=CalibrationMethod.Percentile,
        extra_options={"percentile": PERCENTILE, "symmetric": False},
    )
    name, remaining = calibrator.model.graph.input[0].name, iter(batches)
    while chunk := list(islice(remaining, _CHUNK)):
        calibrator.collect_data(_Reader(name, chunk))
    return calibrator.compute_data()


def quantised(
    model: Any, ranges: Any, excluded: Sequence[str], *, reduce_range: bool, fused: bool = False
) -> Any:
    """A copy of the model in INT8, but for the nodes `excluded`: weights signed and per channel, activations unsigned.

    `reduce_range`: weights have 7 bits, where the CPU would overflow with 8. ONNX Runtime is fast where every operator
    between two convolutions is in INT8, too. `fused`: only what convolutions read is; OpenVINO then puts activation and
    rounding into the convolution (YOLO11n: 0.7 of the time of the other way; ONNX Runtime takes twice that of it).
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    quantiser = QDQQuantizer(
        copy.deepcopy(model),
        True,  # per channel
        reduce_range,
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [],
        list(excluded),
        ["Conv"] if fused else list(OPERATORS),
        {
            "DedicatedQDQPair": False,
            "ActivationSymmetric": False,
            "WeightSymmetric": True,
            "OpTypesToExcludeOutputQuantization": ["Conv"] if fused else [],
        },
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    made = quantiser.model.model
    onnx.checker.check_model(made)
    return made


class _Reader:
    """Inputs one after the other, as the calibrator takes them."""

    def __init__(self, name: str, batches: Sequence[NDArray[np.generic]]) -> None:
        self._inputs = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next input; None after the last."""
        return next(self._inputs, None)

    def __len__(self) -> int:
        return 0

    def set_range(self, start_index: int, end_index: int) -> None:
        """All are taken."""
