"""The detector on small real models of every layout and type, and every way a model can be wrong."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import structlog

from agent.config.schema import ModelSettings
from agent.core.errors import InferenceError, MissingExtra, ModelError
from agent.core.scope import WHOLE, Scope
from agent.detection.opening import DEMO_MODEL
from agent.detection.runner import Runner
from agent.detection.session import Detector


def picture(height=64, width=64):
    """Quarters: red, green, blue, and grey that is too dark to count."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    image[:top, :left, 2] = 255
    image[:top, left:, 1] = 230
    image[top:, :left, 0] = 204
    image[top:, left:] = 20
    return image


def open_detector(path, **settings):
    detector = Detector(ModelSettings(path=str(path), **settings))
    detector.open()
    return detector


@pytest.fixture(params=["cpu", "openvino"])
def provider(request):
    """Each engine that runs on a CPU."""
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return request.param


@pytest.fixture
def opened(provider):
    """Opens a model."""
    return partial(open_detector, provider=provider)


@pytest.fixture
def refusal(provider):
    """The text with which a model is refused."""
    return partial(refused, provider=provider)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["channels", "rows", "end2end"])
def test_each_layout_and_type_gives_the_same_boxes(opened, tiny, make_frame, layout, dtype):
    detector = opened(tiny(layout, dtype))
    found = detector.detect([make_frame(picture())]).detections[0]
    assert detector.info.layout == layout
    assert detector.info.input_type == dtype
    assert detector.info.classes == ("red", "green", "blue")
    assert found.class_ids.tolist() == [0, 1, 2]
    assert np.allclose(found.scores, [1.0, 230 / 255, 0.8], atol=2e-3)
    assert np.allclose(found.boxes, [[0, 0, 32, 32], [32, 0, 64, 32], [0, 32, 32, 64]], atol=0.1)
    assert found.candidates == 3
    assert found.threshold == 0.25
    assert found.embedding is None


@pytest.mark.parametrize("shape", [(240, 320), (320, 240), (90, 320)])
def test_a_stride_of_the_boxes_alone_is_not_what_the_backbone_needs(opened, tmp_path, make_frame, shape):
    """Ultralytics writes the stride of the coarsest grid of boxes: 16 for a model that halves a frame five times."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DEMO_MODEL)
    for entry in model.metadata_props:
        entry.value = "16" if entry.key == "stride" else entry.value
    onnx.save(model, tmp_path / "coarse.onnx")
    detector = opened(tmp_path / "coarse.onnx")
    found = detector.detect([make_frame(np.full((*shape, 3), 90, np.uint8))])
    assert found.detections[0].candidates >= 0


def test_boxes_are_in_the_pixels_of_each_frame_whatever_its_shape(opened, tiny, make_frame):
    detector = opened(tiny())
    shapes = [(64, 64), (128, 128), (256, 128)]
    found = detector.detect([make_frame(picture(*shape)) for shape in shapes]).detections
    assert np.allclose(found[1].boxes, found[0].boxes * 2)
    assert found[2].boxes[:, 3].max() <= 256
    assert np.allclose(
        found[2].boxes[0], [0, 0, 64, 128]
    )  # 128x256 letterboxed: the box is clipped at the left


def test_the_best_come_first_and_no_more_than_asked(opened, tiny, make_frame):
    found = opened(tiny(), max_detections=2).detect([make_frame(picture())]).detections[0]
    assert len(found) == 2
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.candidates == 3


def test_results_are_read_only_and_outlive_the_next_batch(opened, tiny, make_frame):
    detector = opened(tiny())
    first = detector.detect([make_frame(picture())]).detections[0]
    before = first.boxes.copy(), first.scores.copy()
    detector.detect([make_frame(np.full((64, 64, 3), 255, np.uint8))])
    assert np.array_equal(first.boxes, before[0])
    assert np.array_equal(first.scores, before[1])
    with pytest.raises(ValueError, match="read-only"):
        first.boxes[0, 0] = 1


def test_an_empty_scene_has_no_boxes(opened, tiny, make_frame):
    found = opened(tiny()).detect([make_frame(np.zeros((64, 64, 3), np.uint8))]).detections[0]
    assert found.boxes.shape == (0, 4)
    assert found.candidates == 0


@pytest.mark.parametrize("batch", [1, 4])
def test_a_static_batch_takes_any_number_of_frames(opened, tiny, make_frame, batch):
    detector = opened(tiny(batch=batch))
    assert detector.info.max_batch == batch
    assert not detector.info.dynamic_batch
    found = detector.detect([make_frame(picture(), index=i) for i in range(6)]).detections
    assert [len(one) for one in found] == [3] * 6


def test_more_frames_than_max_batch_are_split(opened, tiny, make_frame):
    found = opened(tiny(), max_batch=2).detect([make_frame(picture())] * 5)
    assert [len(one) for one in found.detections] == [3] * 5
    assert min(found.preprocess, found.inference, found.postprocess) > 0


def test_a_model_without_metadata_is_understood_by_its_shape_and_its_classes_are_numbered(
    opened, tiny, make_frame
):
    detector = opened(
        tiny("end2end", metadata={"names": None, "task": None, "end2end": None, "stride": None})
    )
    assert detector.info.layout == "end2end"
    found = detector.detect([make_frame(picture())]).detections[0]
    assert [detector.info.class_name(number) for number in found.class_ids] == ["class0", "class1", "class2"]


def test_what_is_no_colour_picture_is_refused_by_name(opened, tiny, make_frame):
    detector = opened(tiny())
    for image in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(InferenceError, match="camera yard: frame 3 is not a colour image"):
            detector.detect([make_frame(image, camera="yard", index=3)])


def test_close_may_be_called_twice_and_open_after_it(opened, tiny, make_frame):
    detector = opened(tiny())
    detector.close()
    detector.close()
    assert detector.info.name == "tiny"
    with pytest.raises(ModelError, match="closed"):
        detector.detect([make_frame(picture())])
    detector.open()
    assert len(detector.detect([make_frame(picture())]).detections[0]) == 3


def test_io_binding_gives_what_a_plain_run_gives(tiny):
    import onnxruntime

    path = tiny()
    plain, bound = (Runner(onnxruntime, path, ["CPUExecutionProvider"], threads=1) for _ in range(2))
    bound.bind("cpu", 0)
    rng = np.random.default_rng(0)
    given = [rng.random((batch, 3, 64, 64), dtype=np.float32) for batch in (1, 3, 1, 1, 3)]
    before = [pictures.copy() for pictures in given]
    expected = [plain.run(pictures)[0] for pictures in given]
    found = [bound.run(pictures)[0] for pictures in given]  # the memory is the same, each result its own
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(found[2], found[3])
    assert all(np.array_equal(one, other) for one, other in zip(given, before, strict=True))


def test_bound_outputs_that_change_their_size_are_given_all_the_same(tmp_path):
    """As many boxes as there are bright places: fixed memory does not fit the next frame."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    nodes = [helper.make_node("NonZero", ["images"], ["places"])]
    kinds = [("images", TensorProto.FLOAT, ["batch", 3, 8, 8]), ("places", TensorProto.INT64, [4, "boxes"])]
    images, places = (helper.make_tensor_value_info(*one) for one in kinds)
    model = helper.make_model(
        helper.make_graph(nodes, "bright", [images], [places]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, str(tmp_path / "bright.onnx"))
    runner = Runner(onnxruntime, tmp_path / "bright.onnx", ["CPUExecutionProvider"], threads=1)
    runner.bind("cpu", 0)
    for bright in (3, 3, 7, 0, 12):
        image = np.zeros((1, 3, 8, 8), np.float32)
        image.flat[:bright] = 1
        assert runner.run(image)[0].shape == (4, bright)


def test_a_provider_that_is_not_there_falls_back_and_says_so(tiny):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("has CUDA")
    with structlog.testing.capture_logs() as events:
        detector = open_detector(tiny(), provider="cuda")
    assert detector.info.provider == "cpu"
    (warning,) = [event for event in events if event["log_level"] == "warning"]
    assert (warning["wanted"], warning["provider"]) == ("cuda", "cpu")
    assert "install" in warning["advice"]


def refused(path, **settings):
    with pytest.raises(ModelError) as caught:
        open_detector(path, **settings)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_a_missing_file(refusal, tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08" * 999])
def test_a_corrupt_file(refusal, tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    assert "truncated or corrupt" in refusal(path)


def test_a_truncated_model(refusal, tiny):
    path = tiny()
    path.write_bytes(path.read_bytes()[:5000])
    assert "truncated or corrupt" in refusal(path)


def test_a_checkpoint_is_sent_to_prepare(refusal, tmp_path):
    path = tmp_path / "yolo.pt"
    path.write_bytes(b"PK")
    assert "vedette model prepare" in refusal(path)


def test_a_model_too_new_for_the_runtime(tiny):
    assert "needs a newer ONNX Runtime" in refused(tiny(opset=99))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"task": "segment"}, "segmentation model"),
        ({"task": "classify"}, "classification model"),
        ({"names": "{0: 'a', 1: 'b'}"}, "2 class names"),
    ],
)
def test_a_model_for_another_task(refusal, tiny, metadata, words):
    assert words in refusal(tiny(metadata=metadata))


def graph(tmp_path, inputs, name="odd.onnx"):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    values = [helper.make_tensor_value_info(key, kind, shape) for key, kind, shape in inputs]
    node = helper.make_node("Identity", [inputs[0][0]], ["out"])
    out = helper.make_tensor_value_info("out", inputs[0][1], inputs[0][2])
    model = helper.make_model(
        helper.make_graph([node], "odd", values, [out]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, str(tmp_path / name))
    return tmp_path / name


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([("x", 1, [1, 3, 8, 8]), ("y", 1, [1])], "takes 2 inputs ('x', 'y')"),
        ([("x", 7, [1, 3, 8, 8])], "takes tensor(int64)"),
        ([("x", 1, [1, 3])], "expected (batch, 3, height, width)"),
        ([("x", 1, [1, 1, 8, 8])], "images of 1 channels"),
        ([("x", 1, [1, 8, 8, 3])], "expected (batch, 3, height, width)"),
        ([("x", 1, [1, 3, 64, 64])], "not a known kind of detector"),
    ],
)
def test_a_model_with_another_input(refusal, tmp_path, inputs, words):
    assert words in refusal(graph(tmp_path, inputs))


def test_without_a_runtime_the_extra_to_install_is_named(tiny, monkeypatch):
    path = tiny()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install .*(\[(cpu|gpu)\]|onnxruntime)"):
        open_detector(path, provider="cpu")


def test_the_hash_is_that_of_the_file(opened, tiny):
    import hashlib

    path = tiny()
    assert opened(path).info.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert re.fullmatch(r"(onnxruntime|openvino) \d+\.\d+.*", opened(path).info.runtime)


# -- a camera's scope --------------------------------------------------------------------------------------------


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
UPPER = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
SCOPES = {
    "all": (WHOLE, [0, 1, 2], 0.25),
    "classes": (Scope(classes=("blue", "green")), [1, 2], 0.25),
    "a higher score": (Scope(confidence=0.85), [0, 1], 0.85),
    "a lower score": (Scope(confidence=0.05), [0, 1, 2, 0], 0.05),
    "a zone": (Scope(included=(LEFT,)), [0, 2], 0.25),
    "an excluded zone": (Scope(excluded=(LEFT,)), [1], 0.25),
    "zones": (Scope(included=(UPPER,), excluded=(LEFT,)), [1], 0.25),
    "nothing": (Scope(classes=("blue",), included=(UPPER,)), [], 0.25),
}


@pytest.mark.parametrize("layout", ["channels", "end2end"])
def test_only_what_is_in_a_cameras_scope_is_a_detection(opened, tiny, make_frame, layout):
    detector = opened(tiny(layout))
    image = picture()
    image[32:, 32:] = (0, 0, 20)
    frames = [dataclasses.replace(make_frame(image), scope=scope) for scope, _, _ in SCOPES.values()]
    found = detector.detect(frames).detections  # one batch of frames with scopes of their own
    for one, (name, (_, classes, threshold)) in zip(found, SCOPES.items(), strict=True):
        assert one.class_ids.tolist() == classes, name
        assert one.threshold == threshold
        assert len(one.boxes) == len(one.scores) == len(classes)


@pytest.mark.parametrize("layout", ["channels", "end2end"])
def test_what_is_outside_a_zone_takes_no_place_among_the_boxes_at_most(opened, tiny, make_frame, layout):
    detector = opened(tiny(layout), max_detections=1)
    frame = make_frame(picture())
    assert detector.detect([frame]).detections[0].class_ids.tolist() == [0]
    scoped = dataclasses.replace(frame, scope=Scope(excluded=(LEFT,)))
    assert detector.detect([scoped]).detections[0].class_ids.tolist() == [1]


def test_classes_are_found_by_their_names_all_of_a_name_and_by_number_where_they_have_none(opened, tiny):
    info = opened(tiny()).info
    assert info.class_ids(("blue", "red", "mauve", "class1")) == {0, 2}
    assert dataclasses.replace(info, classes=("a", "b", "a")).class_ids(("a",)) == {0, 2}
    unnamed = dataclasses.replace(info, classes=())
    assert unnamed.class_ids(("class7", "class007", "red", "class", f"class{'9' * 5000}")) == {7}
