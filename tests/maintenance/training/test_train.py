"""A model is trained by the real Ultralytics, mixed with old images, and evaluated beside the one it comes from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.__main__ import main
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.core.dataset import class_names
from agent.core.errors import ConfigError, MissingExtra, ModelError
from agent.maintenance.evaluation.labels import LabelledImage, LabelledSet, read_set
from agent.maintenance.training.train import class_names as names_of
from agent.maintenance.training.training_set import check_separate, write_set
from tests.maintenance.drawn import write_data

ULTRALYTICS = os.environ.get("VEDETTE_TEST_ULTRALYTICS", "")
UNFUSE = Path(__file__).with_name("unfuse.py")
CHECKPOINT = Path(__file__).parents[4] / "shared" / "models" / "yolo11n.pt"


@pytest.mark.slow
@pytest.mark.skipif(not ULTRALYTICS, reason="VEDETTE_TEST_ULTRALYTICS names no Python that has ultralytics")
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not CHECKPOINT.exists(), reason="needs the real model")
def test_a_checkpoint_is_trained_evaluated_and_ready_to_deploy(tmp_path, capsys):
    pytest.importorskip("onnx")
    data = write_data(tmp_path / "new", {"train": 48, "val": 8, "test": 20}, seed=3)
    fused = Path(shutil.copy(CHECKPOINT, tmp_path / "yolo11n.pt"))
    checkpoint = tmp_path / "now.pt"
    quiet = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(tmp_path)}
    unfuse = [ULTRALYTICS, UNFUSE, fused, checkpoint, data.parent / "images" / "train"]
    subprocess.run([str(word) for word in unfuse], check=True, env=quiet, cwd=tmp_path)
    old = write_data(tmp_path / "old", {"train": 16}, seed=9, names=CLASSES[::-1])
    words = [
        "model",
        "train",
        str(checkpoint),
        "--data",
        str(data),
        "--old",
        str(old),
        "--python",
        ULTRALYTICS,
    ]
    words += ["--epochs", "3", "--imgsz", "160", "--batch", "8"]

    with pytest.raises(ModelError, match="is fused for inference"):
        names_of(fused, data.parent, ULTRALYTICS)
    assert main([*words, "--out", str(tmp_path / "asked")]) == 0
    shown = capsys.readouterr().out
    assert "trained on 48 new images and 16 old ones" in shown
    assert "3 epochs of 64 images" in shown
    assert "there is no terminal to ask for confirmation" in shown
    assert not list((tmp_path / "asked").glob("*.onnx"))

    assert main([*words, "--out", str(tmp_path / "out"), "--yes"]) == 0
    shown = capsys.readouterr().out
    assert f"vedette model deploy {tmp_path}/out/now-trained.onnx" in shown
    assert "now-trained.onnx is better than now.onnx" in shown, shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "training", "now-trained.json", "now-trained.onnx", "now-trained.pt",
    }  # fmt: skip


def images(folder, *values, classes=(), names=("a", "b")):
    found = []
    for value in values:
        path = folder / f"{value}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))
        boxes = np.full((len(classes), 4), 0.5, np.float32)
        found.append(LabelledImage(path=path, boxes=boxes, classes=np.array(classes, np.int64)))
    return LabelledSet(images=tuple(found), names=names, left_out=())


def test_old_images_are_mixed_in_and_classes_keep_the_numbers_of_the_model(tmp_path):
    pytest.importorskip("yaml")
    new = images(tmp_path / "new", 1, 2, 3, classes=(0, 1), names=("b", "a", "never labelled"))
    old = images(tmp_path / "old", *range(10, 20), classes=(0, 2), names=("B", "other", "c"))
    checked = images(tmp_path / "val", 4)
    made = write_set(tmp_path / "set", ("x", "A", "b"), new, checked, old)
    assert (made.new, made.old, made.checked) == (3, 3, 1), "no more old ones than new"
    assert made.fresh == ("c",), "a class without a box is none"
    names = class_names(made.data)
    assert names == ("x", "A", "b", "c")
    read = read_set(made.data, "train", names, most=100)
    assert [image.classes.tolist() for image in read.images] == [[2, 1]] * 3 + [[2, 3]] * 3
    assert not read.left_out
    assert write_set(tmp_path / "more", ("A", "b"), new, checked, None).fresh == ()


def test_an_image_that_is_trained_on_proves_nothing(tmp_path):
    new, test = images(tmp_path / "new", 1, 2), images(tmp_path / "test", 2, 3)
    with pytest.raises(ConfigError, match=r"2\.png is trained on, too"):
        check_separate(test.images, new.images)
    check_separate(test.images, new.images[:1])


def test_an_interpreter_without_ultralytics_is_named(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("yaml")
    checkpoint = tmp_path / "now.pt"
    checkpoint.write_bytes(b"PK\x03\x04")
    data = write_data(tmp_path / "new", {"train": 1, "val": 1, "test": 1})
    import argparse

    from agent.cli import train

    args = argparse.Namespace(
        source=checkpoint, data=data, old=None, test=None, split="test", against=None, out=tmp_path / "out",
        full=False, epochs=1, imgsz=64, batch=1, seed=0, device="cpu", python=sys.executable, yes=True,
    )  # fmt: skip
    with pytest.raises(MissingExtra, match="training needs ultralytics"):
        train.run(args)


def test_training_opens_a_pickle_and_has_no_password_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("VEDETTE_MQTT_PASSWORD", "quatsch")
    checkpoint, python, seen, work = (tmp_path / name for name in ("now.pt", "python", "seen", "work"))
    checkpoint.write_bytes(b"PK\x03\x04")
    work.mkdir()
    python.write_text(f'#!/bin/sh\nenv > {seen}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with pytest.raises((MissingExtra, ModelError)):
        names_of(checkpoint, work, str(python))
    assert "YOLO_OFFLINE=true" in seen.read_text()
    assert "quatsch" not in seen.read_text()
