"""Our figures are those of Ultralytics' own `val` on the same ONNX file, frames and labels.

The recording was made by scripts/record_evaluation.py.
"""

import json
from pathlib import Path

import cv2
import onnx
import pytest

from agent.config.schema import ModelSettings
from agent.detection.session import Detector
from agent.maintenance.evaluation.evaluate import evaluate
from agent.maintenance.evaluation.labels import read_set
from agent.maintenance.evaluation.scores import score

RECORDED = json.loads((Path(__file__).parent / "expectations.json").read_text())

pytestmark = pytest.mark.shared


SHARED = Path(__file__).parents[3].parent / "shared"


@pytest.fixture(scope="module")
def shared():
    if not (SHARED / "models" / "yolo11n.onnx").exists():
        pytest.skip("needs the real model and videos")
    return SHARED


@pytest.fixture(scope="module")
def frames(shared, tmp_path_factory):
    """The recorded frames as images, in folders of one set each."""
    root = tmp_path_factory.mktemp("evaluation")
    (root / "images").mkdir()
    names = set(RECORDED["sets"]["all"]["labels"])
    for video in sorted((shared / "videos").glob("*.mp4")):
        capture = cv2.VideoCapture(str(video))
        index = 0
        while (read := capture.read())[0]:
            if f"{video.stem}-{index}" in names:
                cv2.imwrite(str(root / "images" / f"{video.stem}-{index}.png"), read[1])
            index += 1
    assert {path.stem for path in (root / "images").iterdir()} == names
    return root


@pytest.fixture(scope="module")
def square(shared, tmp_path_factory):
    """The shared model with a fixed input: Ultralytics pads that as the agent does."""
    model = onnx.load(shared / "models" / "yolo11n.onnx")
    for dimension, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, 3, 640, 640), strict=True
    ):
        dimension.dim_value = size
    path = tmp_path_factory.mktemp("model") / "square.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("name", sorted(RECORDED["sets"]))
def test_every_figure_is_that_of_ultralytics(frames, square, name):
    labels, figures = RECORDED["sets"][name]["labels"], RECORDED["sets"][name]["figures"]
    (frames / "labels").mkdir(exist_ok=True)
    for image, rows in labels.items():
        text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        (frames / "labels" / f"{image}.txt").write_text(text)
    model = ModelSettings(path=str(square), provider="cpu")
    detector = Detector(model)
    detector.open()
    data = read_set(frames / "images", "val", detector.info.classes, most=1000)
    assert not data.left_out
    done = evaluate(model, data)
    scores = score(done.outcome)
    for key, value in scores.mean().items():
        assert value == pytest.approx(figures[key], abs=0.002), key
    for row, class_id in enumerate(scores.classes.tolist()):
        ours = (scores.precision, scores.recall, scores.f1, scores.ap50, scores.ap)
        theirs = figures["classes"][str(class_id)]
        assert [float(values[row]) for values in ours] == pytest.approx(theirs, abs=0.002), class_id
    assert 0.2 < figures["map50_95"] < 0.6
