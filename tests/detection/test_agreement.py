"""Our boxes are those of Ultralytics' own `predict` on the same ONNX file and real pictures.

The recordings were made by scripts/record_agreement.py; the live test runs where ultralytics is installed.
Agreement: for every box over 0.3 on either side the other has one of the same class with IoU >= 0.95 and a
score within 0.02.
"""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from agent.config.schema import ModelSettings
from agent.detection.layouts import LAYOUTS
from agent.detection.nms import overlap, suppress
from agent.detection.preprocess import BatchBuffer, InputType, plan
from agent.detection.runner import Runner
from agent.detection.session import Detector

EXPECTATIONS = Path(__file__).parent / "expectations"
VIDEOS = sorted(path.stem for path in EXPECTATIONS.glob("*-detection.json"))
SURE, IOU, SCORE = 0.3, 0.95, 0.02

pytestmark = pytest.mark.shared


def rows(detections):
    return np.concatenate(
        (detections.boxes, detections.scores[:, None], detections.class_ids[:, None].astype(np.float32)),
        axis=1,
    )


def missing(these, those):
    """Rows of `these` over SURE that have no partner in `those`."""
    lost = []
    for row in these[these[:, 4] > SURE]:
        near = overlap(row[None, :4], those[:, :4])[0] >= IOU
        partner = near & (those[:, 5] == row[5]) & (np.abs(those[:, 4] - row[4]) <= SCORE)
        if not partner.any():
            lost.append(row.tolist())
    return lost


def assert_agree(ours, theirs, where):
    ours, theirs = ours.astype(np.float32), np.array(theirs, np.float32).reshape(-1, 6)
    assert not missing(theirs, ours), f"{where}: Ultralytics has boxes that we have not"
    assert not missing(ours, theirs), f"{where}: we have boxes that Ultralytics has not"


@pytest.fixture
def detector(shared):
    detector = Detector(ModelSettings(path=str(shared / "models" / "yolo11n.onnx"), confidence=0.25, iou=0.7))
    detector.open()
    yield detector
    detector.close()


def recording(name, detector):
    recorded = json.loads((EXPECTATIONS / f"{name}.json").read_text())
    if recorded["model_sha256"] != detector.info.sha256:
        pytest.skip("recorded with another model file")
    return recorded


@pytest.mark.parametrize("name", VIDEOS)
def test_recorded_videos(name, detector, shared, make_frame):
    recorded = recording(name, detector)
    wanted = {picture["frame"]: picture["boxes"] for picture in recorded["pictures"]}
    capture = cv2.VideoCapture(str(shared / "videos" / recorded["video"]))
    for index in range(max(wanted) + 1):
        assert capture.grab()
        if index in wanted:
            found = detector.detect([make_frame(capture.retrieve()[1])])
            assert_agree(rows(found.detections[0]), wanted[index], f"{name}, frame {index}")
    assert sum(len(boxes) for boxes in wanted.values()) > 0


def assets():
    found = importlib.util.find_spec("ultralytics")
    if found is None or found.origin is None:
        pytest.skip("needs ultralytics")
    return Path(found.origin).parent / "assets"


def test_recorded_photographs_in_one_batch_of_mixed_shapes(detector, make_frame):
    pictures = recording("photographs", detector)["pictures"]
    folder = assets()
    frames = [make_frame(cv2.imread(str(folder / picture["file"]))) for picture in pictures]
    found = detector.detect(frames * 2).detections
    for index, picture in enumerate(pictures * 2):
        assert_agree(rows(found[index]), picture["boxes"], picture["file"])


def test_live(detector, make_frame, shared):
    images = [cv2.imread(str(path)) for path in sorted(assets().glob("*.jpg"))]
    ultralytics = pytest.importorskip("ultralytics")
    for video in sorted((shared / "videos").glob("*.mp4")):
        capture = cv2.VideoCapture(str(video))
        for index in range(201):
            assert capture.grab()
            if index % 50 == 0:
                images.append(capture.retrieve()[1])
    model = ultralytics.YOLO(detector.info.path, task="detect")
    for index, image in enumerate(images):
        theirs = model.predict(image, conf=0.25, iou=0.7, device="cpu", verbose=False)[0].boxes.data.numpy()
        assert_agree(rows(detector.detect([make_frame(image)]).detections[0]), theirs, f"picture {index}")


@pytest.fixture
def scene(detector, shared, make_frame):
    """A frame with several sure boxes, what the model makes of it, and how its picture lies in the input."""
    capture = cv2.VideoCapture(str(shared / "videos" / "bottle-detection.mp4"))
    recorded = recording("bottle-detection", detector)
    best = max(recorded["pictures"], key=lambda picture: len(picture["boxes"]))
    for _ in range(best["frame"] + 1):
        assert capture.grab()
    image = capture.retrieve()[1]
    runner = Runner(onnxruntime, Path(detector.info.path), ["CPUExecutionProvider"], threads=0)
    box = plan(image.shape[:2], (640, 640), stride=32, minimal=True)
    buffer = BatchBuffer(InputType.FLOAT32, box.size, 1)
    buffer.write(0, image, box)
    return runner.run(buffer.array)[0][0], box, best["boxes"]


def finish(found, box, *, nms):
    kept = suppress(found.boxes, found.scores, found.class_ids, iou=0.7, limit=300) if nms else slice(None)
    parts = box.to_source(found.boxes[kept]), found.scores[kept, None], found.class_ids[kept, None]
    return np.concatenate(parts, axis=1)


def decode(output, layout, size):
    return next(one for one in LAYOUTS if one.name == layout).decode(output, 0.25, size)


def test_the_same_output_in_every_layout_gives_what_ultralytics_gives(scene):
    output, box, theirs = scene
    assert len(theirs) >= 3
    found = decode(output, "channels", box.size)
    kept = suppress(found.boxes, found.scores, found.class_ids, iou=0.7, limit=300)
    rows_layout = np.insert(output.T, 4, 1.0, axis=1)  # YOLOv5: an objectness of 1 between box and classes
    end_to_end = np.zeros((300, 6), np.float32)
    end_to_end[: len(kept)] = np.column_stack((found.boxes, found.scores, found.class_ids))[kept]
    assert_agree(finish(found, box, nms=True), theirs, "channels")
    assert_agree(finish(decode(rows_layout, "rows", box.size), box, nms=True), theirs, "rows")
    assert_agree(finish(decode(end_to_end, "end2end", box.size), box, nms=False), theirs, "end2end")
    half = decode(output.astype(np.float16), "channels", box.size)
    assert_agree(finish(half, box, nms=True), theirs, "float16 output")
    assert_agree(finish(decode(output.T, "transposed", box.size), box, nms=True), theirs, "transposed")
    shares = output.T.copy()
    shares[:, :4] /= [box.size[1], box.size[0]] * 2
    queries = shares[np.argsort(-shares[:, 4:].max(axis=1))[:300]]
    assert_agree(finish(decode(queries, "rtdetr", box.size), box, nms=True), theirs, "rtdetr")


def test_the_model_in_half_precision(shared, tmp_path, make_frame):
    onnx = pytest.importorskip("onnx")
    embed = pytest.importorskip("agent.modeltools.embed")
    source = shared / "models" / "yolo11n.onnx"
    onnx.save(embed.to_half(onnx.load(str(source))), str(tmp_path / "half.onnx"))
    detector = Detector(ModelSettings(path=str(tmp_path / "half.onnx")))
    detector.open()
    assert detector.info.input_type == "float16"
    recorded = json.loads((EXPECTATIONS / "bottle-detection.json").read_text())
    capture = cv2.VideoCapture(str(shared / "videos" / recorded["video"]))
    for _ in range(recorded["pictures"][1]["frame"] + 1):
        assert capture.grab()
    found = detector.detect([make_frame(capture.retrieve()[1])]).detections[0]
    assert_agree(rows(found), recorded["pictures"][1]["boxes"], "half precision")
