"""Let a detector give its best candidates only: fewer bytes come back from a GPU, and less is looked through.

Needs the library `onnx` (extra `export`). A candidate that is left out has a lower score than `most` others of its
image, so the boxes stay the same as long as no image has more than `most` above the confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from agent.modeltools.embed import EMBEDDING, opset_of, rename

MOST = 1000
"""Candidates of an image; an object has some ten of them."""

LEAST_OPSET = 13  # since which Unsqueeze takes its axes as an input
_AXES_INPUT = 18  # since which ReduceMax takes its axes as an input
_PREFIX = "best/"


def keep_best(model: Any, *, most: int = MOST) -> bool:
    """Have the output (batch, 4 + classes, anchors) hold the `most` anchors with the highest score, the best first.

    Changes the model; returns whether it did: not before opset 13.
    """
    graph = model.graph
    if opset_of(model) < LEAST_OPSET:
        return False
    output = next(one for one in graph.output if one.name != EMBEDDING)
    name, every = output.name, f"{_PREFIX}every"
    rename(graph, name, every)
    constants = {
        "four": [4],
        "end": [np.iinfo(np.int64).max],
        "one": [1],
        "two": [2],
        "three": [3],
        "most": [most],
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), _PREFIX + key) for key, value in constants.items()
    )
    axes, older = ([], {"axes": [1]}) if opset_of(model) < _AXES_INPUT else (["one"], {})
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Slice", [every, "four", "end", "one"], ["classes"], {}),
        ("Cast", ["classes"], ["scores"], {"to": TensorProto.FLOAT}),  # the CPU sorts no half floats
        ("ReduceMax", ["scores", *axes], ["score"], {"keepdims": 0, **older}),
        ("Shape", [every], ["sides"], {}),
        ("Slice", ["sides", "two", "three"], ["anchors"], {}),
        ("Min", ["anchors", "most"], ["count"], {}),
        ("TopK", ["score", "count"], ["top", "index"], {"axis": 1}),
        ("Unsqueeze", ["index", "one"], ["column"], {}),
        ("Slice", ["sides", "one", "two"], ["rows"], {}),
        ("Concat", ["one", "rows", "one"], ["spread"], {"axis": 0}),
        ("Expand", ["column", "spread"], ["columns"], {}),
        ("GatherElements", [every, "columns"], [name], {"axis": 2}),
    ]
    known = {every, name}
    graph.node.extend(
        helper.make_node(
            operator,
            [one if one in known else _PREFIX + one for one in inputs],
            [one if one in known else _PREFIX + one for one in outputs],
            name=f"{_PREFIX}{number}",
            **attributes,
        )
        for number, (operator, inputs, outputs, attributes) in enumerate(steps)
    )
    anchors = output.type.tensor_type.shape.dim[2]
    fixed = anchors.dim_value
    anchors.Clear()
    if fixed:
        anchors.dim_value = min(fixed, most)
    else:
        anchors.dim_param = "candidates"
    return True
