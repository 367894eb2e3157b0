"""Rewriting a graph so that it runs faster: the same numbers come out, and what is not as expected is left alone."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import onnxruntime  # noqa: E402  (skipped above where a library is missing)
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  (as above)

from agent.modeltools.graph_optimise import quicken  # noqa: E402  (as above)

CHANCE = np.random.default_rng(7)


def build(nodes, weights, shape, outputs=("out",), opset=17):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def outputs(model, picture):
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"in": picture})


def kinds(model):
    return [node.op_type for node in model.graph.node]


def head(opset=17, outputs=("out",), more=(), **convolution):
    """A distribution over 16 distances for four sides at each of some places, and its mean."""
    nodes = [
        helper.make_node("Softmax", ["in"], ["shares"], axis=1),
        helper.make_node("Conv", ["shares", "distances"], ["out"], kernel_shape=[1, 1], **convolution),
        *more,
    ]
    distances = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    return build(nodes, {"distances": distances}, ["b", 16, 4, "a"], outputs, opset)


SILU = (helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["activated"]))
RELU = (helper.make_node("Relu", ["x"], ["activated"]),)


def block(sizes=(16, 16), group=1, opset=17, more=(), outputs=None, activation=SILU):
    """A convolution and its activation, split along the channels."""
    parts = [f"part{number}" for number in range(len(sizes))]
    nodes = [
        helper.make_node(
            "Conv", ["in", "w", "b"], ["x"], "conv", kernel_shape=[3, 3], pads=[1] * 4, group=group
        ),
        *activation,
        helper.make_node("Split", ["activated", "sizes"], parts, axis=1),
        *more,
    ]
    channels = sum(sizes)
    weights = {
        "w": CHANCE.normal(size=(channels, 8 // group, 3, 3)).astype(np.float32),
        "b": CHANCE.normal(size=channels).astype(np.float32),
        "sizes": np.array(sizes, np.int64),
    }
    return build(nodes, weights, [1, 8, "h", "w"], outputs or parts, opset)


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_the_mean_of_a_distribution_stays_the_same(opset, scale):
    model = head(opset)
    logits = (CHANCE.normal(size=(2, 16, 4, 50)) * scale).astype(np.float32)
    (before,) = outputs(model, logits)
    assert quicken(model) == 1
    (after,) = outputs(model, logits)
    assert "Softmax" not in kinds(model)
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_a_mean_of_every_second_place_stays_one():
    model = head(strides=[1, 2])
    logits = CHANCE.normal(size=(1, 16, 4, 50)).astype(np.float32)
    (before,) = outputs(model, logits)
    assert quicken(model) == 1
    (after,) = outputs(model, logits)
    assert after.shape == (1, 1, 4, 25)
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("activation", [SILU, RELU], ids=["silu", "relu"])
@pytest.mark.parametrize("sizes", [(16, 16), (8, 24), (4, 4, 4)])
def test_a_convolution_is_split_in_place_of_its_output(sizes, activation):
    model = block(sizes, activation=activation)
    picture = CHANCE.normal(size=(1, 8, 12, 20)).astype(np.float32)
    before = outputs(model, picture)
    assert quicken(model) == 1
    after = outputs(model, picture)
    assert "Split" not in kinds(model)
    assert kinds(model).count("Conv") == len(sizes)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)
    assert {one.name for one in model.graph.initializer}.isdisjoint({"w", "b", "sizes"})


def test_many_blocks_without_names_do_not_get_into_each_others_way():
    model = block((8, 8), more=[
        helper.make_node("Conv", ["part0", "w2"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["y"], ["t"]),
        helper.make_node("Mul", ["t", "y"], ["silu2"]),
        helper.make_node("Split", ["silu2", "sizes2"], ["c", "d"], axis=1),
    ], outputs=["part1", "c", "d"])  # fmt: skip
    model.graph.node[0].name = ""
    model.graph.initializer.extend([
        numpy_helper.from_array(CHANCE.normal(size=(4, 8, 1, 1)).astype(np.float32), "w2"),
        numpy_helper.from_array(np.array([1, 3]), "sizes2"),
    ])  # fmt: skip
    picture = CHANCE.normal(size=(1, 8, 12, 20)).astype(np.float32)
    before = outputs(model, picture)
    assert quicken(model) == 2
    for old, new in zip(before, outputs(model, picture), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        head(opset=12),  # its Softmax is over all axes from the first on
        head(pads=[0, 1, 0, 1]),  # there is no distribution beyond the edge, and its mean is nought
        head(outputs=("out", "shares")),
        head(more=[helper.make_node("Identity", ["shares"], ["also"])], outputs=("out", "also")),
        block(group=2),
        block(
            more=[helper.make_node("Identity", ["activated"], ["also"])], outputs=("part0", "part1", "also")
        ),
        block(more=[helper.make_node("Identity", ["x"], ["also"])], outputs=("part0", "part1", "also")),
        block(outputs=("part0", "part1", "activated")),
        block(outputs=("part0", "part1", "x")),
        block(group=2, activation=RELU),
        block(outputs=("part0", "part1", "activated"), activation=RELU),
        block(outputs=("part0", "part1", "x"), activation=RELU),
        block(activation=(helper.make_node("Tanh", ["x"], ["activated"]),)),
    ],
    ids=[
        "old",
        "padded",
        "shares out",
        "shares read",
        "grouped",
        "silu read",
        "x read",
        "silu out",
        "x out",
        "relu grouped",
        "relu out",
        "x out before relu",
        "tanh",
    ],
)
def test_what_others_need_as_it_is_stays_as_it_is(model):
    before = model.SerializeToString()
    assert quicken(model) == 0
    assert model.SerializeToString() == before


@pytest.mark.parametrize("made", [head, block], ids=["head", "block"])
def test_an_export_that_was_not_simplified_is_rewritten_as_well(made):
    """Its weights are nodes that hold a tensor; nothing was found in it."""
    model, plain = made(), made()
    for number, weight in enumerate(list(model.graph.initializer)):
        held = helper.make_node("Constant", [], [weight.name], value=weight)
        model.graph.node.insert(number, held)
        model.graph.initializer.remove(weight)
        plain.graph.initializer[number].CopyFrom(weight)
    picture = CHANCE.normal(size=(1, 16, 4, 9) if made is head else (1, 8, 12, 9)).astype(np.float32)
    before = outputs(model, picture)
    assert quicken(model) == quicken(plain) == 1
    for one, other in zip(before, outputs(model, picture), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_result_that_is_a_constant_stays_one():
    constant = helper.make_node(
        "Constant", [], ["constant"], value=numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32))
    )
    model = block(more=(constant,), outputs=("part0", "part1", "constant"))
    assert quicken(model) == 1
    picture = CHANCE.normal(size=(1, 8, 4, 4)).astype(np.float32)
    assert not outputs(model, picture)[2].any()
