"""Rewrite a YOLO's graph into one that gives the same and runs faster. Needs the library `onnx` (extra `export`).

Two places cost ONNX Runtime's CPU more than they should (YOLO11n: 12 % of its time and 23 MB together):

* The box head gives each side of a box as a distribution over some 16 distances (distribution focal loss, Li et al.
  2020, arXiv:2006.04388), and takes its mean: Softmax, then a convolution with the distances as weights. This
  Softmax, whose axis is not the last, becomes thousands of calls for 16 numbers each. One convolution over the
  exponentials gives the weighted sum and the plain one, and their quotient is the same mean.
* Feature maps lie in memory in blocks of channels, but a Split wants them plain, so each is turned round and back.
  A convolution whose channels are only split can be split itself, and everything stays in blocks.

A GPU has neither trouble, and is better off with few large convolutions than with many small ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agent.modeltools.embed import opset_of

LEAST_OPSET = 13  # since which Softmax has one axis, and Split takes its sizes as an input
_AXES_INPUT = 18  # since which ReduceMax takes its axes as an input


def quicken(model: Any) -> int:
    """Rewrite what can be in place; returns how many places there were."""
    opset = opset_of(model)
    if opset < LEAST_OPSET:
        return 0
    graph = _Graph(model.graph, opset)
    places = graph.heads() + graph.split_convolutions()
    graph.sweep()
    return places


class _Graph:
    """A graph with an index of who makes a tensor and who reads it."""

    def __init__(self, graph: Any, opset: int) -> None:
        self._graph, self._opset = graph, opset
        self._outputs = {one.name for one in graph.output}
        self._take_constants()
        self._weights = {one.name: one for one in graph.initializer}

    def _take_constants(self) -> None:
        """Make weights of the nodes that only hold a tensor, as an export that was not simplified has them."""
        for node in [node for node in self._graph.node if node.op_type == "Constant"]:
            value = next((one.t for one in node.attribute if one.name == "value"), None)
            if value is not None and node.output[0] not in self._outputs:
                weight = self._graph.initializer.add()
                weight.CopyFrom(value)
                weight.name = node.output[0]
                self._graph.node.remove(node)

    def heads(self) -> int:
        """Rewrite the means over distributions."""
        found = 0
        for softmax in [node for node in self._graph.node if node.op_type == "Softmax"]:
            mean = self._only_reader(softmax.output[0])
            if _attribute(softmax, "axis", -1) == 1 and mean is not None and self._is_mean(mean):
                self._replace([softmax, mean], self._mean(softmax.input[0], mean, f"mean{found}"))
                found += 1
        return found

    def split_convolutions(self) -> int:
        """Rewrite Conv -> SiLU or ReLU -> Split as a convolution and its activation for each part."""
        found = 0
        for split in [node for node in self._graph.node if node.op_type == "Split"]:
            chain = self._activated_before(split)
            sizes = self._sizes(split, chain[0]) if chain else None
            if chain and sizes:
                self._replace([*chain, split], self._parts(chain, split, sizes))
                found += 1
        return found

    def sweep(self) -> None:
        """Let go of weights that nobody reads any more."""
        read = {name for node in self._graph.node for name in node.input} | self._outputs
        for weight in [one for one in self._graph.initializer if one.name not in read]:
            self._graph.initializer.remove(weight)

    # -- the box head ------------------------------------------------------------------------------------------

    def _is_mean(self, node: Any) -> bool:
        """Whether it only weighs the channels of each place: weights (1, bins, 1, 1), no bias, no padding."""
        shape = list(self._array(node, 1).shape)
        padded = any(any(one.ints) for one in node.attribute if one.name == "pads")
        plain = node.op_type == "Conv" and len(node.input) == 2 and not padded
        return plain and shape[:1] + shape[2:] == [1, 1, 1]

    def _mean(self, logits: str, convolution: Any, name: str) -> list[Any]:
        distances = self._array(convolution, 1)
        both = self._add(f"{name}/distances", np.concatenate([distances, np.ones_like(distances)]))
        one_each = self._add(f"{name}/one_each", np.array([1, 1]))
        largest, lowered, shares, sums, weighted, plain = (
            f"{name}/{each}" for each in ("largest", "lowered", "shares", "sums", "weighted", "plain")
        )
        summing = helper.make_node("Conv", [shares, both], [sums], sums)
        summing.attribute.extend(convolution.attribute)
        return [
            # the largest is taken off first, lest its exponential overflow; the quotient stays the same
            self._largest(logits, largest),
            helper.make_node("Sub", [logits, largest], [lowered], lowered),
            helper.make_node("Exp", [lowered], [shares], shares),
            summing,
            helper.make_node("Split", [sums, one_each], [weighted, plain], f"{name}/split", axis=1),
            helper.make_node("Div", [weighted, plain], [convolution.output[0]], f"{name}/mean"),
        ]

    def _largest(self, logits: str, name: str) -> Any:
        if self._opset < _AXES_INPUT:
            return helper.make_node("ReduceMax", [logits], [name], name, axes=[1])
        return helper.make_node("ReduceMax", [logits, self._add(f"{name}/axis", np.array([1]))], [name], name)

    # -- convolutions that are split -----------------------------------------------------------------------------

    def _activated_before(self, split: Any) -> list[Any]:
        """Conv, Relu or Conv, Sigmoid, Mul where these alone make what is split along the channels; else []."""
        last = self._maker(split.input[0])
        if _attribute(split, "axis", 0) != 1 or last is None or self._only_reader(last.output[0]) is None:
            return []
        chain = self._relu(last) or self._silu(last)
        return chain if chain and _attribute(chain[0], "group", 1) == 1 else []

    def _relu(self, last: Any) -> list[Any]:
        convolution = self._maker(last.input[0]) if last.op_type == "Relu" else None
        if convolution is None or convolution.op_type != "Conv":
            return []
        return [convolution, last] if self._only_reader(convolution.output[0]) is not None else []

    def _silu(self, last: Any) -> list[Any]:
        before = {node.op_type: node for name in last.input if (node := self._maker(name))}
        convolution, sigmoid = before.get("Conv"), before.get("Sigmoid")
        if last.op_type != "Mul" or convolution is None or sigmoid is None:
            return []
        alone = (
            sigmoid.input[0] == convolution.output[0]
            and self._only_reader(sigmoid.output[0]) is not None
            and len(self._readers(convolution.output[0])) == 2
            and convolution.output[0] not in self._outputs
        )
        return [convolution, sigmoid, last] if alone else []

    def _sizes(self, split: Any, convolution: Any) -> list[int]:
        """Channels of each part; [] where they are not known here."""
        if not all(name in self._weights for name in (*convolution.input[1:], *split.input[1:])):
            return []
        if len(split.input) > 1:
            return [int(size) for size in self._array(split, 1)]
        channels, parts = self._array(convolution, 1).shape[0], len(split.output)
        return [channels // parts] * parts if channels % parts == 0 else []

    def _parts(self, chain: list[Any], split: Any, sizes: list[int]) -> list[Any]:
        convolution, *activation = chain
        nodes, edges = [], np.cumsum([0, *sizes])
        for part, result in enumerate(split.output):
            name, channels = f"{convolution.output[0]}/part{part}", slice(edges[part], edges[part + 1])
            inputs = [
                self._add(f"{name}/{number}", self._array(convolution, number)[channels])
                for number in range(1, len(convolution.input))
            ]
            made, gate = f"{name}/made", f"{name}/gate"
            one = helper.make_node("Conv", [convolution.input[0], *inputs], [made], name)
            one.attribute.extend(convolution.attribute)
            nodes.append(one)
            if len(activation) == 1:
                nodes.append(helper.make_node("Relu", [made], [result], f"{name}/relu"))
            else:
                nodes.append(helper.make_node("Sigmoid", [made], [gate], gate))
                nodes.append(helper.make_node("Mul", [made, gate], [result], f"{name}/silu"))
        return nodes

    # -- the index ---------------------------------------------------------------------------------------------

    def _readers(self, tensor: str) -> list[Any]:
        return [node for node in self._graph.node if tensor in node.input]

    def _only_reader(self, tensor: str) -> Any | None:
        """The one node that reads `tensor`; None where there are others, or it is an output of the graph."""
        readers = self._readers(tensor)
        return readers[0] if len(readers) == 1 and tensor not in self._outputs else None

    def _maker(self, tensor: str) -> Any | None:
        return next((node for node in self._graph.node if tensor in node.output), None)

    def _array(self, node: Any, number: int) -> NDArray[Any]:
        """An input of a node that is a weight; empty where it is none."""
        name = node.input[number] if number < len(node.input) else ""
        found: NDArray[Any] = (
            numpy_helper.to_array(self._weights[name]) if name in self._weights else np.empty(0)
        )
        return found

    def _add(self, name: str, values: NDArray[Any]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _replace(self, old: list[Any], new: list[Any]) -> None:
        """Put `new` where the last of `old` stood: what it reads is made by then, and nobody reads it sooner."""
        place = max(list(self._graph.node).index(node) for node in old) + 1
        for node in reversed(new):
            self._graph.node.insert(place, node)
        for node in old:
            self._graph.node.remove(node)


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(one.i) for one in node.attribute if one.name == name), default)
