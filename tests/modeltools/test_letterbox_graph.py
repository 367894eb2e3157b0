"""Letterboxing in the graph: the CPU's law to the pixel, the CPU's boxes, and refused where it finds others."""

import cv2
import numpy as np
import pytest
import structlog

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.types import Frame
from agent.detection.engines.onnx_runtime import OnnxRuntime, sees_each_frame
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.metadata import parse
from agent.detection.preprocess import BatchBuffer, InputType, plan
from agent.detection.providers import CUDA, TENSORRT
from agent.detection.runner import Runner
from agent.detection.session import Detector
from agent.modeltools.compare import compare_objects
from tests.modeltools.test_prepare import quarters, vedette_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from agent.modeltools.embed import take_uint8  # noqa: E402  (needs onnx)
from agent.modeltools.letterbox_graph import letterbox_inside  # noqa: E402  (needs onnx)

SHAPES = [(1080, 1920), (432, 768), (720, 576), (37, 1001), (640, 640), (16, 16), (1279, 719), (333, 500)]
CPU = ["CPUExecutionProvider"]


def showing(opset):
    """A model whose class scores are its input's pixels, and whose boxes are all (10, 20, 30, 40): (1, 7, H * W)."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    constants = {
        "flat": np.array([0, 3, -1], np.int64),
        "nought": np.zeros((1, 1, 1), np.float32),
        "box": np.array([10, 20, 30, 40], np.float32).reshape(1, 4, 1),
        "first": np.array([0], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        node("Reshape", ["images", "flat"], ["scores"]),
        node("Slice", ["scores", "first", "one", "one"], ["row"]),
        node("Mul", ["row", "nought"], ["none"]),
        node("Add", ["none", "box"], ["boxes"]),
        node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "showing",
        [value("images", kind, ["batch", 3, "height", "width"])],
        [value("output0", kind, ["batch", 7, "n"])],
        [onnx.numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def letterboxing(opset, *, minimal, frame=None, target=(384, 640)):
    model = showing(opset)
    take_uint8(model)
    letterbox_inside(model, target, stride=32, minimal=minimal, frame=frame)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=CPU)


def noise(shape, seed=0):
    blurred = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8), (5, 5), 0)
    return np.ascontiguousarray(blurred)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("minimal", [False, True])
@pytest.mark.parametrize("opset", [13, 18])
def test_each_frame_is_letterboxed_as_on_the_cpu_and_boxes_are_in_its_pixels(opset, minimal, fixed):
    free = None if fixed else letterboxing(opset, minimal=minimal)
    for shape in SHAPES:
        session = free or letterboxing(opset, minimal=minimal, frame=shape)
        image, box = noise(shape), plan(shape, (384, 640), stride=32, minimal=minimal)
        expected = BatchBuffer(InputType.FLOAT32, box.size, 1)
        expected.write(0, image, box)
        (found,) = session.run(None, {"pictures": np.stack([image, image[::-1]])})
        assert found.shape == (2, 7, box.size[0] * box.size[1])
        off = (found[0, 4:].reshape(3, *box.size) - expected.array[0]) * 255
        assert np.abs(off).max() < 1.01
        assert np.abs(off).mean() < 0.08  # one level in some places, cv2 computes in whole numbers ...
        assert abs(off.mean()) < 0.04  # ... up and down
        x, y, width, height = found[0, :4, 0]
        corners = np.array([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])
        whole = np.array([[-5, 0, 25, 40]], np.float32)
        gain = np.array([box.content[1] / shape[1], box.content[0] / shape[0]] * 2)
        assert np.allclose(corners, (whole - np.array(box.offset[::-1] * 2)) / gain, atol=1e-2)


def test_sizes_follow_the_cpus_law_for_any_frame():
    session, random = letterboxing(17, minimal=True), np.random.default_rng(1)
    for height, width in random.integers(1, 800, (40, 2)).tolist():
        size = plan((height, width), (384, 640), stride=32, minimal=True).size
        (found,) = session.run(None, {"pictures": np.zeros((1, height, width, 3), np.uint8)})
        assert found.shape[2] == size[0] * size[1], (height, width)


@pytest.fixture
def drawn(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, shape in enumerate(
        [(64, 64), (90, 90), (128, 128), (200, 200), (70, 64), (64, 70), (81, 77)]
    ):
        cv2.imwrite(str(folder / f"{number}.png"), quarters(*shape))
    return folder


def detector(path, **settings):
    made = Detector(ModelSettings(path=str(path), provider="cpu", **settings))
    made.open()
    return made


def test_prepared_for_a_gpu_frames_of_any_shape_share_a_model(tiny, tmp_path, drawn, make_frame, capsys):
    words = ["prepare", tiny(), "--for", "gpu", "--images", drawn, "--out", tmp_path / "out"]
    assert vedette_model(*words, "--letterbox", "graph") == 0
    assert "letterboxed in the graph: F1 1.000" in capsys.readouterr().out
    ours, theirs = detector(tmp_path / "out" / "tiny.onnx"), detector(tiny())
    assert (ours.info.letterboxes, ours.info.input_type, ours.info.input_size) == (
        True,
        "uint8-bgr",
        (64, 64),
    )
    frames = [make_frame(quarters(*shape)) for shape in ((64, 64), (90, 120), (90, 120), (300, 200))]
    for found, expected in zip(ours.detect(frames).detections, theirs.detect(frames).detections, strict=True):
        assert found.class_ids.tolist() == expected.class_ids.tolist()
        assert np.allclose(found.boxes, expected.boxes, atol=1)
        assert np.allclose(found.scores, expected.scores, atol=0.01)


def test_tensorrt_is_left_out_where_frames_have_any_size(tiny, tmp_path, drawn):
    """An engine is built for a range of sizes, and would hold memory for a batch of the largest."""
    vedette_model(
        "prepare",
        tiny(),
        "--for",
        "gpu",
        "--images",
        drawn,
        "--out",
        tmp_path / "out",
        "--letterbox",
        "graph",
    )
    probe = Runner(onnxruntime, tmp_path / "out" / "tiny.onnx", CPU, threads=1)
    engine = OnnxRuntime(ModelSettings(provider="tensorrt"), None)
    with structlog.testing.capture_logs() as events:
        chosen = engine._with_options([TENSORRT, CUDA], probe, tmp_path / "engines", graph=False)
    assert [name for name, _ in chosen] == [CUDA]
    assert "--frame-size" in events[0]["advice"]


@pytest.mark.parametrize("bound", [False, True])
def test_a_fixed_frame_size_is_ready_for_cuda_graphs_and_each_frame_is_seen(
    tiny, tmp_path, drawn, make_frame, bound
):
    words = ["prepare", tiny(batch=1), "--for", "gpu", "--images", drawn, "--out", tmp_path / "out"]
    assert vedette_model(*words, "--letterbox", "graph", "--frame-size", "90", "120") == 0
    path = tmp_path / "out" / "tiny.onnx"
    runner = Runner(onnxruntime, path, CPU, threads=1)
    if bound:
        runner.bind("cpu", 0)
    shape = runner.input
    assert (shape.batch, shape.height, shape.width, shape.pixels) == (1, 90, 120, True)
    assert sees_each_frame(runner)
    assert not [one for one in onnx.load(path).graph.initializer if one.data_type == onnx.TensorProto.DOUBLE]
    one, other = quarters(90, 120), np.ascontiguousarray(quarters(90, 120)[:, ::-1])
    alone = Runner(onnxruntime, path, CPU, threads=1)
    for image in (one, other, one, other):  # its buffer is filled anew each time
        for found, expected in zip(runner.run(image[None]), alone.run(image[None]), strict=True):
            assert np.array_equal(found, expected)
    assert not np.array_equal(runner.run(one[None])[0], runner.run(other[None])[0])


def test_a_frame_that_must_not_be_written_to_is_bound_too(tiny, tmp_path, drawn, make_frame):
    vedette_model(
        "prepare",
        tiny(),
        "--for",
        "gpu",
        "--images",
        drawn,
        "--out",
        tmp_path,
        "--letterbox",
        "graph",
        "--force",
    )
    ours = detector(tmp_path / "tiny-prepared.onnx")
    ours._opened.runner.bind("cpu", 0)
    image = quarters(90, 120)
    image.flags.writeable = False
    before = image.copy()
    first = ours.detect([make_frame(image)]).detections[0]
    again = ours.detect([make_frame(np.ascontiguousarray(image[:, ::-1]))]).detections[0]
    assert first.class_ids.tolist() != again.class_ids.tolist() or not np.allclose(first.boxes, again.boxes)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("layout", "words", "said"),
    [
        ("channels", ("--letterbox", "graph"), "give --for gpu"),
        ("channels", ("--for", "gpu", "--frame-size", "90", "120"), "give both"),
        ("channels", ("--for", "gpu", "--letterbox", "graph", "--frame-size", "9", "120"), "two sides"),
        ("channels", ("--for", "gpu", "--letterbox", "graph", "--input", "float"), "float was asked for"),
        ("rows", ("--for", "gpu", "--letterbox", "graph"), "has the layout rows"),
        ("channels", ("--for", "gpu", "--letterbox", "graph"), "at least 20 are needed"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(tiny, tmp_path, layout, words, said):
    (tmp_path / "few").mkdir()
    cv2.imwrite(str(tmp_path / "few" / "one.png"), quarters())
    words = [*words, "--images", tmp_path / "few"]
    with pytest.raises(ModelError, match=said):
        vedette_model("prepare", tiny(layout), "--out", tmp_path / "out", *words)
    assert not list(tmp_path.glob("out/*"))


def test_metadata_says_so():
    assert parse({"vedette_letterbox": "graph"}, "m").letterboxes
    assert not parse({"vedette_letterbox": "cpu"}, "m").letterboxes


@pytest.mark.shared
@pytest.mark.slow
def test_on_the_real_videos_the_objects_are_the_cpus(shared, tmp_path):
    videos = ("bottle-detection", "car-detection", "one-by-one-person-detection")
    images = [one for name in videos for one in spread(shared / "videos" / f"{name}.mp4", 16)]
    images += [cv2.resize(one, (1920, 1080)) for one in images[::6]]
    words = ["prepare", shared / "models" / "yolo11n.onnx", "--for", "gpu"]
    for kind in ("--half", "--no-half"):
        vedette_model(*words, kind, "--out", tmp_path / kind / "cpu")
        vedette_model(*words, kind, "--out", tmp_path / kind / "graph", "--letterbox", "graph")
        by_cpu, inside = (tmp_path / kind / where / "yolo11n.onnx" for where in ("cpu", "graph"))
        found = compare_objects(by_cpu, inside, images)
        assert found.f1 >= 0.99
        assert found.boxes > 60
    plain, inside = detector(shared / "models" / "yolo11n.onnx"), detector(inside)
    matches = BoxMatches()
    for image in images[:12]:
        frame = Frame(camera="c", index=0, image=image, captured_at=0.0, monotonic_ns=0)
        pair = [one.detect([frame]).detections[0] for one in (plain, inside)]
        matches += match_boxes(pair[0], (), pair[1], ())
    assert matches.f1(10) >= 0.99


def spread(video, count):
    capture = cv2.VideoCapture(str(video))
    every = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // count)
    images = []
    while len(images) < count:
        fine, image = capture.read()
        if not fine:
            break
        if int(capture.get(cv2.CAP_PROP_POS_FRAMES)) % every == 0:
            images.append(image)
    return images


def test_a_graph_that_finds_other_objects_is_refused(tiny, tmp_path, drawn):
    words = ["prepare", tiny(batch=1), "--for", "gpu", "--images", drawn]
    vedette_model(*words, "--out", tmp_path / "cpu")
    vedette_model(*words, "--out", tmp_path / "graph", "--letterbox", "graph", "--frame-size", "90", "120")
    by_cpu, inside = (tmp_path / where / "tiny.onnx" for where in ("cpu", "graph"))
    images = [quarters(90, 120)] * 8
    assert compare_objects(by_cpu, inside, images).f1 == 1
    model = onnx.load(inside)
    (shift,) = (one for one in model.graph.initializer if one.name == "frame/shift")
    moved = onnx.numpy_helper.to_array(shift) + np.array([[[3], [0], [0], [0]]], np.float32)
    shift.CopyFrom(onnx.numpy_helper.from_array(moved, shift.name))
    onnx.save(model, inside)
    with pytest.raises(ModelError, match=r"other objects than on the CPU: F1 1\.000, mean IoU 0\.8"):
        compare_objects(by_cpu, inside, images)
