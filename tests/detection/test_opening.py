"""A real detector whose output was written in another way: read, or refused in words, when it is opened."""

import dataclasses

import numpy as np
import pytest

from agent.cameras.stamping import stamped
from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.detection.session import Detector
from agent.detection.trial import trial_image

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


def stays_unverified(detector, frames, why):
    """After so many frames it is not verified for this reason; it is closed."""
    for _ in range(frames):
        detector.detect([picture()])
    state, reason = detector.verification
    assert state.value == "unverified"
    assert why in reason
    detector.close()


def taking_bytes(settings, *, reverse=False):
    """Its model with pixels of 0 to 255 as input, BGR where `reverse`."""
    model = onnx.load(settings.path)
    for reader in model.graph.node:
        reader.input[:] = ["unit" if name == "images" else name for name in reader.input]
    order = np.array([2, 1, 0] if reverse else [0, 1, 2], np.int64)
    for name, value in {"of_255": np.float32(255), "order_in": order}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.insert(0, node("Gather", ["images", "order_in"], ["rgb"], axis=1))
    model.graph.node.insert(1, node("Div", ["rgb", "of_255"], ["unit"]))
    onnx.save(model, settings.path)
    return settings


def picture():
    """The trial image as a frame of a camera."""
    return stamped("front", 0, trial_image().copy())


def best_boxes(order, *, wide=1.0, first_class=0.0):
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
        node("Cast", ["number"], ["from0"], to=1),
        node("Add", ["from0", "first"], ["class"]),
        node("Concat", ["upper", "lower", "score", "class"], ["all"], axis=1),
        node("Squeeze", ["score", "axes"], ["flat"]),
        node("TopK", ["flat", "count"], ["best", "which"], axis=0),
        node("Gather", ["all", "which"], ["chosen"], axis=2),
        node("Gather", ["chosen", "order"], ["ordered"], axis=1),
        node("Transpose", ["ordered"], ["out"], perm=[0, 2, 1]),
    ]
    numbers = {str(number): np.array([number], np.int64) for number in (0, 1, 2, 4, 84)}
    constants = {
        "half": np.float32(0.5 * wide),
        "first": np.float32(first_class),
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
    boxes = detector.detect([picture()]).detections[0].boxes  # the list has each object some ten times
    assert len(boxes) == 2
    detector.close()


@pytest.mark.shared
@pytest.mark.parametrize("metadata", [True, False], ids=["with names", "without"])
def test_classes_that_count_from_1_are_refused(shared, tmp_path, metadata):
    settings = rewritten(shared, tmp_path / "list.onnx", *best_boxes(range(6), first_class=1.0))
    if not metadata:
        model = onnx.load(settings.path)
        del model.metadata_props[:]
        onnx.save(model, settings.path)
    with pytest.raises(ModelError, match=r"numbers its classes from 1.*set model\.names"):
        Detector(settings).open()


@pytest.mark.shared
def test_boxes_of_half_the_size_are_not_verified(shared, tmp_path):
    detector = Detector(rewritten(shared, tmp_path / "list.onnx", *best_boxes(range(6), wide=0.5)))
    detector.open()
    assert detector.verification[0].value == "unverified"
    for _ in range(10):  # a right one is verified by eight
        detector.detect([picture()])
    assert detector.verification[0].value == "unverified"
    detector.close()


@pytest.mark.shared
@pytest.mark.parametrize("reverse", [False, True], ids=["rgb", "bgr"])
def test_a_model_for_pixels_of_0_to_255_finds_what_one_for_0_to_1_does(shared, tmp_path, reverse):
    plain = Detector(rewritten(shared, tmp_path / "plain.onnx", [node("Identity", ["output0"], ["out"])], {}))
    other = Detector(
        taking_bytes(
            rewritten(shared, tmp_path / "bytes.onnx", [node("Identity", ["output0"], ["out"])], {}),
            reverse=reverse,
        )
    )
    found = []
    for detector in (plain, other):
        detector.open()
        found.append(detector.detect([picture()]).detections[0])
        detector.close()
    assert other.info.input_type == "float32-0-255"
    assert len(found[0].boxes) == 2
    by_class = [one.boxes[np.argsort(one.class_ids)] for one in found]
    assert set(found[0].class_ids) == set(found[1].class_ids)
    np.testing.assert_allclose(*by_class, atol=25 if reverse else 0.01)


@pytest.mark.shared
def test_what_a_model_takes_does_not_depend_on_the_confidence_that_is_asked_for(shared, tmp_path):
    settings = rewritten(shared, tmp_path / "m.onnx", [node("Identity", ["output0"], ["out"])], {})
    detector = Detector(dataclasses.replace(taking_bytes(settings), confidence=0.001))
    detector.open()
    assert (detector.info.input_type, detector.verification[0].value) == ("float32-0-255", "verified")
    detector.close()


@pytest.mark.shared
def test_the_scale_of_pixels_can_be_set(shared, tmp_path):
    settings = rewritten(shared, tmp_path / "m.onnx", [node("Identity", ["output0"], ["out"])], {})
    detector = Detector(dataclasses.replace(settings, pixels="0-255"))
    detector.open()
    assert detector.info.input_type == "float32-0-255"
    assert detector.verification[0].value == "unverified"
    detector.close()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("factor", "shift", "refusal"),
    [(1.25, 0.0, r"1\.2\d times as far apart"), (-1.0, 320.0, "mirrored")],
    ids=["another size", "mirrored"],
)
def test_a_grid_whose_boxes_are_scaled_or_mirrored_is_refused(shared, tmp_path, factor, shift, refusal):
    scale, add = np.ones((1, 84, 1), np.float32), np.zeros((1, 84, 1), np.float32)
    scale[0, 0], add[0, 0] = factor, shift
    settings = rewritten(
        shared,
        tmp_path / "grid.onnx",
        [node("Mul", ["output0", "scale"], ["scaled"]), node("Add", ["scaled", "add"], ["out"])],
        {"scale": scale, "add": add},
    )
    with pytest.raises(ModelError, match=refusal):
        Detector(settings).open()


BESIDE = {
    "seven tenths as large": ([1, 1, 0.7, 0.7], [0, 0, 0, 0]),
    "half as wide": ([1, 1, 0.5, 1], [0, 0, 0, 0]),
    "all of one size": ([1, 1, 0, 0], [0, 0, 160, 160]),
    "20 pixels aside": ([1, 1, 1, 1], [20, 20, 0, 0]),
}


@pytest.mark.shared
@pytest.mark.parametrize("kind", BESIDE)
def test_boxes_beside_the_objects_of_the_trial_image_are_never_verified(shared, tmp_path, kind):
    scale, add = np.ones((1, 84, 1), np.float32), np.zeros((1, 84, 1), np.float32)
    scale[0, :4, 0], add[0, :4, 0] = BESIDE[kind]
    settings = rewritten(
        shared,
        tmp_path / "beside.onnx",
        [node("Mul", ["output0", "scale"], ["scaled"]), node("Add", ["scaled", "add"], ["out"])],
        {"scale": scale, "add": add},
    )
    try:
        detector = Detector(settings)
        detector.open()
    except ModelError:
        return  # what its grid shows is refused before
    stays_unverified(detector, 40, "boxes lie beside their objects, or are of another size")


@pytest.mark.shared
@pytest.mark.parametrize("turned", [2, 41], ids=["by two", "by half"])
def test_classes_that_do_not_fit_their_names_are_never_verified(shared, tmp_path, turned):
    order = np.array([0, 1, 2, 3, *(4 + (number + turned) % 80 for number in range(80))], np.int64)
    settings = rewritten(
        shared,
        tmp_path / "turned.onnx",
        [node("Gather", ["output0", "order"], ["out"], axis=1)],
        {"order": order},
    )
    detector = Detector(settings)
    detector.open()
    stays_unverified(detector, 10, "its class numbers do not fit its names; set model.names")


@pytest.mark.shared
def test_a_model_that_knows_what_the_trial_image_shows_needs_one_run_to_be_verified(shared, monkeypatch):
    from agent.detection.runner import Runner

    runs, plain = [], Runner.run
    monkeypatch.setattr(Runner, "run", lambda self, batch: runs.append(1) or plain(self, batch))
    detector = Detector(
        ModelSettings(path=str(shared / "models" / "yolo11n.onnx"), provider="cpu", input_size=320)
    )
    detector.open()
    assert detector.verification[0].value == "verified"
    assert len(runs) <= 1
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
