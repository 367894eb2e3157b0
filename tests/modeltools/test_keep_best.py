"""The best candidates of an output, in the graph: those that numpy picks, whatever the batch, opset and precision."""

import numpy as np
import pytest

from agent.modeltools.keep_best import keep_best

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def passing(kind, opset, anchors="anchors"):
    """A model that gives what it is given: (batch, 4 + 3 classes, anchors)."""
    sides = ["batch", 7, anchors]
    given, made = (onnx.helper.make_tensor_value_info(name, kind, sides) for name in ("given", "output0"))
    node = onnx.helper.make_node("Identity", ["given"], ["output0"], name="pass")
    graph = onnx.helper.make_graph([node], "passing", [given], [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_best_come_out_in_order_of_their_score(opset, kind):
    model = passing(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)), opset)
    assert keep_best(model, most=5)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for batch, anchors in ((1, 40), (3, 40), (2, 4)):
        given = random.random((batch, 7, anchors)).astype(kind)
        (found,) = session.run(["output0"], {"given": given})
        assert found.dtype == kind
        assert found.shape == (batch, 7, min(5, anchors))
        for one, kept in zip(given, found, strict=True):
            order = np.argsort(-one[4:].max(axis=0), kind="stable")[:5]
            assert np.array_equal(kept, one[:, order])


def test_a_known_number_of_anchors_is_declared_anew_and_an_old_opset_left_alone():
    model = passing(onnx.TensorProto.FLOAT, 17, anchors=8400)
    assert keep_best(model)
    assert model.graph.output[0].type.tensor_type.shape.dim[2].dim_value == 1000
    old = passing(onnx.TensorProto.FLOAT, 12)
    before = old.SerializeToString()
    assert not keep_best(old)
    assert old.SerializeToString() == before
