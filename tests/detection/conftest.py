"""Small real ONNX detectors made on the spot, and the big one of ../shared where it is there."""

from pathlib import Path

import numpy as np
import pytest
import structlog

from agent.core.types import Frame

SHARED = Path(__file__).parents[2].parent / "shared"
NAMES = {0: "red", 1: "green", 2: "blue"}


@pytest.fixture(autouse=True)
def own_log():
    yield
    structlog.reset_defaults()  # commands set the log up on this test's streams


@pytest.fixture
def shared():
    if not (SHARED / "models" / "yolo11n.onnx").exists():
        pytest.skip("needs the real model and videos")
    return SHARED


@pytest.fixture
def make_frame():
    def make(image, camera="a", index=0):
        return Frame(camera=camera, index=index, image=image, captured_at=0.0, monotonic_ns=0)

    return make


@pytest.fixture
def tiny(tmp_path):
    """Makes a detector of 64x64 pictures with four boxes, one for each quarter, scored by their colour."""

    def make(layout="channels", dtype="float32", *, batch="batch", metadata=None, opset=17):
        onnx, size = pytest.importorskip("onnx"), 64
        model = build(onnx, layout, np.dtype(dtype), batch=batch, size=size, opset=opset)
        known = {"names": str(NAMES), "task": "detect", "stride": "32", "imgsz": f"[{size}, {size}]"}
        known["end2end"] = str(layout == "end2end")
        for key, value in {**known, **(metadata or {})}.items():
            if value is not None:
                model.metadata_props.add(key=key, value=value)
        path = tmp_path / "tiny.onnx"
        onnx.save(model, str(path))
        return path

    return make


def build(onnx, layout, dtype, *, batch, size, opset):
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    half = size // 2
    centres = [(x, y) for y in (half / 2, half * 1.5) for x in (half / 2, half * 1.5)]
    cxcywh = np.array([(x, y, half, half) for x, y in centres], dtype).T[None]
    xyxy = np.concatenate((cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, :2] + cxcywh[:, 2:] / 2), axis=1)
    weights = np.zeros((3, 3, half, half), dtype)
    for channel in range(3):
        weights[channel, channel] = 1 / half**2
    constants = {
        "weights": weights,
        "shape": np.array([0, 3, 4], np.int64),
        "zero": np.zeros(1, dtype),
        "one": np.ones(1, dtype),
        "axis": np.array([1], np.int64),
        "boxes": xyxy if layout == "end2end" else cxcywh,
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["images", "weights"], ["grid"], kernel_shape=[half, half], strides=[half, half]),
        node("Reshape", ["grid", "shape"], ["scores"]),
        node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
        node("Mul", ["best", "zero"], ["none"]),
        node("Add", ["none", "boxes"], ["placed"]),
    ]
    if layout == "channels":
        nodes.append(node("Concat", ["placed", "scores"], ["output0"], axis=1))
        shape = [batch, 7, 4]
    elif layout == "rows":
        nodes += [
            node("Add", ["none", "one"], ["objectness"]),
            node("Concat", ["placed", "objectness", "scores"], ["columns"], axis=1),
            node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]),
        ]
        shape = [batch, 4, 8]
    else:
        nodes += [
            node("ArgMax", ["scores"], ["class"], axis=1, keepdims=1),
            node("Cast", ["class"], ["class_number"], to=kind),
            node("Concat", ["placed", "best", "class_number"], ["columns"], axis=1),
            node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]),
        ]
        shape = [batch, 4, 6]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info("output0", kind, shape)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
