"""A real detector whose output was written in another way: read, or refused in words, when it is opened."""

import numpy as np
import pytest

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.detection.session import Detector

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node


def rewritten(shared, path, nodes, constants, output="out"):
    """YOLO11n with `nodes` behind its output."""
    model = onnx.load(shared / "models" / "yolo11n.onnx")
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    )
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, 1, [None] * 3))
    onnx.save(model, path)
    return ModelSettings(path=str(path), provider="cpu", input_size=320)


def best_boxes(order):
    """The 300 boxes of the highest score as a list of corners, in `order` of x1, y1, x2, y2, score, class."""
    nodes = [
        node("Slice", ["output0", "0", "2", "1"], ["centre"]),
        node("Slice", ["output0", "2", "4", "1"], ["sides"]),
        node("Slice", ["output0", "4", "84", "1"], ["scores"]),
        node("Mul", ["sides", "half"], ["halves"]),
        node("Sub", ["centre", "halves"], ["upper"]),
        node("Add", ["centre", "halves"], ["lower"]),
        node("ReduceMax", ["scores"], ["score"], axes=[1], keepdims=1),
        node("ArgMax", ["scores"], ["number"], axis=1, keepdims=1),
        node("Cast", ["number"], ["class"], to=1),
        node("Concat", ["upper", "lower", "score", "class"], ["all"], axis=1),
        node("Squeeze", ["score", "axes"], ["flat"]),
        node("TopK", ["flat", "count"], ["best", "which"], axis=0),
        node("Gather", ["all", "which"], ["chosen"], axis=2),
        node("Gather", ["chosen", "order"], ["ordered"], axis=1),
        node("Transpose", ["ordered"], ["out"], perm=[0, 2, 1]),
    ]
    numbers = {str(number): np.array([number], np.int64) for number in (0, 1, 2, 4, 84)}
    constants = {
        "half": np.float32(0.5),
        "axes": np.array([0, 1], np.int64),
        "count": np.array([300], np.int64),
    }
    return nodes, {**numbers, **constants, "order": np.array(order, np.int64)}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("order", "refusal"),
    [
        ([0, 1, 2, 3, 4, 5], ""),
        ([1, 0, 3, 2, 4, 5], "x and y of its boxes are exchanged"),
        ([0, 1, 2, 3, 5, 4], "no class number"),
    ],
    ids=["as expected", "y before x", "class before score"],
)
def test_a_list_of_boxes_is_read_or_what_is_exchanged_is_named(shared, tmp_path, order, refusal):
    detector = Detector(rewritten(shared, tmp_path / "list.onnx", *best_boxes(order)))
    if refusal:
        with pytest.raises(ModelError, match=refusal):
            detector.open()
        return
    detector.open()
    assert (detector.info.layout, detector.verification[0].value) == ("end2end", "verified")
    detector.close()


@pytest.mark.shared
def test_an_operator_that_no_runtime_has_is_named(shared, tmp_path):
    settings = rewritten(
        shared,
        tmp_path / "m.onnx",
        [node("EfficientNMS_TRT", ["output0"], ["out"], domain="trt.plugins")],
        {},
    )
    model = onnx.load(settings.path)
    model.opset_import.append(onnx.helper.make_opsetid("trt.plugins", 1))
    onnx.save(model, settings.path)
    with pytest.raises(
        ModelError, match=r"has the operator trt\.plugins\.EfficientNMS_TRT, which this ONNX Runtime"
    ):
        Detector(settings).open()
