"""`vedette model evaluate` says how good a model is on labelled images, and whether another one is better."""

import json

import cv2
import numpy as np
import onnx
import pytest

from agent.__main__ import main
from agent.cameras.kinds.synthetic.drawing.backdrops import LAYOUTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.detection.opening import DEMO_MODEL


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawn scenes of two cameras, with labels from the drawing's own truth, and their data.yaml."""
    root = tmp_path_factory.mktemp("drawn")
    for camera, layout in zip(("back", "front"), LAYOUTS, strict=False):
        for kind in ("images", "labels"):
            (root / kind / camera).mkdir(parents=True)
        scene = Scene(layout, 4001)
        for shot in range(12):
            picture = scene.draw(shot * 97.0, 12.0, shot, noise=1.0)
            height, width = picture.image.shape[:2]
            cv2.imwrite(str(root / "images" / camera / f"{shot}.png"), picture.image)
            rows = (picture.boxes / np.array([width, height] * 2)).tolist()
            lines = [
                f"{kind} {(x1 + x2) / 2} {(y1 + y2) / 2} {x2 - x1} {y2 - y1}\n"
                for kind, (x1, y1, x2, y2) in zip(picture.class_ids.tolist(), rows, strict=True)
            ]
            (root / "labels" / camera / f"{shot}.txt").write_text("".join(lines))
    data = root / "data.yaml"
    data.write_text(json.dumps({"path": str(root), "train": "images", "val": "images", "names": CLASSES}))
    return data


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The demo's model with noise on its weights."""
    model = onnx.load(DEMO_MODEL)
    random = np.random.default_rng(1)
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.ndim == 4 and values.size > 32:  # not what makes distances of distributions
            noisy = values + random.normal(0, 0.15 * values.std(), values.shape).astype(values.dtype)
            weights.CopyFrom(onnx.numpy_helper.from_array(noisy, weights.name))
    path = tmp_path_factory.mktemp("damaged") / "damaged.onnx"
    onnx.save(model, path)
    return path


def evaluate(capsys, *words):
    assert main(["model", "evaluate", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_a_model_is_evaluated_by_class_size_and_camera(capsys, drawn):
    report = json.loads(evaluate(capsys, DEMO_MODEL, "--data", drawn, "--json"))
    (model,) = report["models"]
    assert report["images"] == 24
    assert model["all"]["map50"] > 0.8
    assert model["all"]["map50_95_low"] <= model["all"]["map50_95"] <= model["all"]["map50_95_high"]
    assert model["at_confidence"]["recall"] > 0.6
    assert set(model["cameras"]) == {"back", "front"}
    assert sum(row["boxes"] for row in model["cameras"].values()) == report["boxes"]
    assert sum(row["boxes"] for row in model["sizes"].values()) == report["boxes"]
    assert sum(row["boxes"] for row in model["classes"].values()) == report["boxes"]
    assert 0 < model["inference_seconds_p50"] <= model["inference_seconds_p99"]


def test_the_better_of_two_models_is_named(capsys, drawn, damaged):
    shown = evaluate(capsys, damaged, "--data", drawn, "--against", DEMO_MODEL)
    assert "damaged.onnx is worse than demo.onnx: mAP50-95 -0." in shown
    assert "camera front" in shown
    shown = evaluate(capsys, DEMO_MODEL, "--data", drawn, "--against", DEMO_MODEL)
    assert "no difference between demo.onnx and demo.onnx can be shown" in shown


def test_a_class_that_is_not_found_at_the_agents_confidence_is_named_whatever_its_map(capsys, drawn):
    words = (DEMO_MODEL, "--data", drawn)
    assert "it finds none of" not in evaluate(capsys, *words)
    shown = evaluate(capsys, *words, "--confidence", "0.999")
    assert "at that confidence it finds none of: person, car, truck, bicycle" in shown, shown


def test_the_folder_of_images_is_enough(capsys, drawn):
    shown = evaluate(capsys, DEMO_MODEL, "--data", drawn.parent / "images" / "back")
    assert "12 images" in shown
    assert "class person" in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["zebra", "lion", "ant", "bee", "cow", "dog"]}, "no class of the labels (zebra, lion"),
        ({"val": "nowhere"}, "'nowhere' is not there"),
        ({"names": ["person"]}, "whole number from 0 to 0"),
        ({"names": "person"}, "are not class names"),
    ],
)
def test_a_wrong_set_is_refused_with_what_is_wrong(capsys, drawn, change, words):
    wrong = drawn.with_name("wrong.yaml")
    wrong.write_text(json.dumps({**json.loads(drawn.read_text()), **change}))
    assert main(["model", "evaluate", str(DEMO_MODEL), "--data", str(wrong)]) != 0
    assert words in capsys.readouterr().err


def test_images_without_any_object_are_no_measure(capsys, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.zeros((64, 64, 3), np.uint8))
        (tmp_path / "labels" / f"{number}.txt").write_text("")
    data = tmp_path / "data.yaml"
    data.write_text(json.dumps({"val": "images", "names": CLASSES}))
    assert main(["model", "evaluate", str(DEMO_MODEL), "--data", str(data)]) != 0
    assert "data.yaml: val: no object is labelled on its 2 images" in capsys.readouterr().err
