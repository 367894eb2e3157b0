"""`vedette model prepare`: the same boxes come out, an embedding with them, and a manifest that is true."""

import argparse
import hashlib
import json
import os
import sys

import cv2
import numpy as np
import pytest

from agent.cli import model as command
from agent.config.schema import ModelSettings
from agent.core.errors import MissingExtra, ModelError
from agent.detection import manifest
from agent.detection.agreement import HALF, Tolerance
from agent.detection.session import Detector
from agent.modeltools.compare import compare, drawn_images

onnx = pytest.importorskip("onnx")


def vedette_model(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def detect(path, frame):
    detector = Detector(ModelSettings(path=str(path)))
    detector.open()
    return detector, detector.detect([frame]).detections[0]


def quarters(height=64, width=64):
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 2] = 255
    image[: height // 2, width // 2 :, 1] = 230
    image[height // 2 :, : width // 2, 0] = 204
    return image


@pytest.mark.parametrize("layout", ["channels", "rows", "end2end"])
@pytest.mark.parametrize("words", [(), ("--input", "uint8"), ("--half",), ("--half", "--input", "uint8")])
def test_prepared_models_see_the_same(tiny, tmp_path, make_frame, layout, words):
    source = tiny(layout)
    assert vedette_model("prepare", source, "--out", tmp_path / "out", *words) == 0
    _, before = detect(source, make_frame(quarters(90, 70)))
    detector, after = detect(tmp_path / "out" / "tiny.onnx", make_frame(quarters(90, 70)))
    assert after.class_ids.tolist() == before.class_ids.tolist()
    assert np.allclose(after.boxes, before.boxes, atol=0.5)
    assert np.allclose(after.scores, before.scores, atol=2e-3)
    assert detector.info.classes == ("red", "green", "blue")
    half = "float16" if "--half" in words else "float32"
    assert detector.info.input_type == ("uint8-bgr" if "uint8" in words else half)


@pytest.mark.parametrize(
    ("words", "nodes"), [((), ["Transpose", "Cast"]), (("--half",), ["Transpose", "Cast", "Div"])]
)
def test_uint8_costs_no_more_nodes_than_it_must(tiny, tmp_path, words, nodes):
    vedette_model("prepare", tiny(), "--out", tmp_path / "out", "--input", "uint8", *words)
    graph = onnx.load(str(tmp_path / "out" / "tiny.onnx")).graph
    assert [node.op_type for node in graph.node][: len(nodes) + 1] == [*nodes, "Conv"]


def test_uint8_where_no_convolution_reads_the_input(tiny, tmp_path, make_frame):
    source = tiny()
    model = onnx.load(str(source))
    model.graph.node.insert(0, onnx.helper.make_node("Identity", ["images"], ["same"]))
    model.graph.node[1].input[0] = "same"
    onnx.save(model, str(source))
    vedette_model("prepare", source, "--out", tmp_path / "out", "--input", "uint8")
    graph = onnx.load(str(tmp_path / "out" / "tiny.onnx")).graph
    assert [node.op_type for node in graph.node][:4] == ["Transpose", "Gather", "Cast", "Div"]
    _, before = detect(source, make_frame(quarters()))
    _, after = detect(tmp_path / "out" / "tiny.onnx", make_frame(quarters()))
    assert np.allclose(after.scores, before.scores, atol=1e-5)
    assert np.allclose(after.boxes, before.boxes, atol=1e-3)


def test_the_embedding_is_the_mean_of_the_last_feature_map(tiny, tmp_path, make_frame):
    vedette_model("prepare", tiny(), "--out", tmp_path / "out")
    detector, found = detect(tmp_path / "out" / "tiny.onnx", make_frame(quarters()))
    assert detector.info.embedding_size == 3
    assert np.allclose(found.embedding, [255 / 255 / 4, 230 / 255 / 4, 204 / 255 / 4], atol=1e-5)
    assert found.embedding.dtype == np.float32
    assert not found.embedding.flags.writeable
    pair = detector.detect([make_frame(quarters()), make_frame(np.zeros((64, 64, 3), np.uint8))]).detections
    assert np.allclose(pair[0].embedding, found.embedding)
    assert not pair[1].embedding.any()


def test_a_graph_out_of_order_is_put_in_order(tiny, tmp_path):
    """As Ultralytics exports with half=True: the casts of inputs stand behind what reads them."""
    source = tiny()
    model = onnx.load(str(source))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(source))
    vedette_model("prepare", source, "--out", tmp_path / "out")
    onnx.checker.check_model(onnx.load(str(tmp_path / "out" / "tiny.onnx")))


def test_the_manifest_tells_the_truth(tiny, tmp_path):
    source = tiny()
    vedette_model("prepare", source, "--out", tmp_path / "out")
    target = tmp_path / "out" / "tiny.onnx"
    record = manifest.read(manifest.path_of(target))
    assert record.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert record.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert record.classes == ("red", "green", "blue")
    assert record.embedding_size == 3
    assert record.opset == 17
    assert record.checks["boxes"] > 0
    assert record.checks["least_iou"] > 0.99
    assert sorted(path.name for path in target.parent.iterdir()) == ["tiny.json", "tiny.onnx"]


def test_the_source_is_never_overwritten_and_metadata_is_kept(tiny, tmp_path):
    source = tiny(metadata={"author": "somebody"})
    before = source.read_bytes()
    vedette_model("prepare", source)
    assert source.read_bytes() == before
    prepared = onnx.load(str(tmp_path / "tiny-prepared.onnx"))
    assert {entry.key: entry.value for entry in prepared.metadata_props}["author"] == "somebody"


def test_nothing_that_is_there_is_overwritten_unless_asked_for(tiny, tmp_path, capsys):
    source = tiny()
    vedette_model("prepare", source)
    made = tmp_path / "tiny-prepared.onnx"
    made.write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"tiny-prepared\.onnx is there already: .* --out, or .* --force"):
        vedette_model("prepare", source)
    assert made.read_bytes() == b"mine"
    made.unlink()
    with pytest.raises(ModelError, match=r"tiny-prepared\.json is there already"):
        vedette_model("prepare", source)
    assert not made.exists()
    before = source.read_bytes()
    vedette_model("prepare", source, "--force")
    assert made.exists()
    assert source.read_bytes() == before


def test_a_link_in_the_way_is_not_followed(tiny, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("keep")
    (out / "tiny.onnx").symlink_to(tmp_path / "precious")
    with pytest.raises(ModelError, match="is there already"):
        vedette_model("prepare", tiny(), "--out", out)
    vedette_model("prepare", tiny(), "--out", out, "--force")
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (out / "tiny.onnx").is_symlink()


@pytest.mark.parametrize(
    ("out", "words"), [("/proc/nowhere", "cannot be written"), ("/dev/null", "is not a folder")]
)
def test_a_folder_that_cannot_be_written_is_said(tiny, out, words):
    with pytest.raises(ModelError, match=words):
        vedette_model("prepare", tiny(), "--out", out)


def test_what_is_no_plain_file_is_refused_at_once(tiny, tmp_path, capsys):
    for name in ("pipe.onnx", "pipe.pt", "pipe.json"):
        os.mkfifo(tmp_path / name)
    for name in ("pipe.onnx", "pipe.pt"):
        with pytest.raises(ModelError, match="not a plain file"):
            vedette_model("prepare", tmp_path / name)
    with pytest.raises(ModelError, match="not a plain file"):
        vedette_model("inspect", tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="not a plain file"):
        manifest.read(tmp_path / "pipe.json")
    os.mkfifo(tmp_path / "picture.jpg")
    with pytest.raises(ModelError, match="has no images"):
        vedette_model("prepare", tiny(), "--images", tmp_path)


def test_inspecting_a_hostile_model_prints_no_markup_and_no_escapes(tiny, capsys):
    path = tiny(
        metadata={
            "names": "{0: '[/x]', 1: '[red]b', 2: '\\x1b]52;c;cm0=\\x07'}",
            "description": "\x1b]0;owned\x07[link=x]",
        }
    )
    assert vedette_model("inspect", path) == 0
    told = capsys.readouterr().out
    assert "[/x], [red]b" in told
    assert "\x1b" not in told
    assert "[link=x]" in told


def test_preparing_twice_says_so(tiny, tmp_path):
    vedette_model("prepare", tiny())
    with pytest.raises(ModelError, match="prepared before"):
        vedette_model("prepare", tmp_path / "tiny-prepared.onnx")


def test_a_model_that_sees_other_things_is_refused(tiny, tmp_path):
    source = tiny()
    model = onnx.load(str(source))
    weights = next(one for one in model.graph.initializer if one.name == "weights")
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 0.8, "weights"))
    other = tmp_path / "other.onnx"
    onnx.save(model, str(other))
    with pytest.raises(ModelError, match="does not find what its source finds"):
        compare(source, other, [quarters()], HALF)
    assert compare(source, other, [quarters()], Tolerance(iou=0.9, score=0.3)).largest_score_difference > 0.1


def test_inspect_prints_the_model_and_notices_a_foreign_manifest(tiny, tmp_path, capsys):
    vedette_model("prepare", tiny())
    target = tmp_path / "tiny-prepared.onnx"
    capsys.readouterr()
    assert vedette_model("inspect", target, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"]["classes"] == ["red", "green", "blue"]
    assert told["manifest"]["source"] == "tiny.onnx"
    assert vedette_model("inspect", target) == 0
    assert "3: red, green, blue" in capsys.readouterr().out
    target.write_bytes(tiny().read_bytes())
    assert vedette_model("inspect", target) == 1
    assert "belongs to another file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--imgsz", "50"), "multiples of 32"),
        (("--imgsz", "128"), "fixed size"),
        (("--dynamic",), "fixed size"),
        (("--images", "."), "has no images"),
        (("--imgsz", "60000"), "at most 4096"),
    ],
)
def test_what_cannot_be_done_is_said(tiny, tmp_path, monkeypatch, words, message):
    source = tiny()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(ModelError, match=message):
        vedette_model("prepare", source, *words)
    assert list(tmp_path.glob("*.json")) == []


def test_wrong_sources_are_refused(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        vedette_model("prepare", tmp_path / "none.pt")
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"expected a \.pt checkpoint"):
        vedette_model("prepare", tmp_path / "model.tflite")
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    with pytest.raises(ModelError, match="truncated or corrupt"):
        vedette_model("prepare", tmp_path / "bad.onnx")


def test_a_checkpoint_without_ultralytics_names_the_extra(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')  # an interpreter without site-packages
    bare.chmod(0o755)
    with pytest.raises(MissingExtra, match=r"\[export\]|ultralytics"):
        vedette_model("prepare", tmp_path / "model.pt", "--python", bare)
    with pytest.raises(ModelError, match="No such file"):
        vedette_model("prepare", tmp_path / "model.pt", "--python", tmp_path / "nowhere")


def test_an_export_opens_a_pickle_and_has_no_password_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("VEDETTE_MQTT_PASSWORD", "quatsch")
    (tmp_path / "model.pt").write_bytes(b"x")
    python, seen = tmp_path / "python", tmp_path / "seen"
    python.write_text(f'#!/bin/sh\nenv > {seen}\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)
    with pytest.raises(MissingExtra):
        vedette_model("prepare", tmp_path / "model.pt", "--python", python)
    assert "YOLO_AUTOINSTALL=false" in seen.read_text()
    assert "quatsch" not in seen.read_text()


def constant(path, shape):
    """A model that gives zeros of `shape` for any image."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    value = onnx.numpy_helper.from_array(np.zeros(shape, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["zeros"], value=value),
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Add", ["zeros", "mean"], ["output"]),
    ]
    image = helper.make_tensor_value_info("images", float32, [1, 3, 64, 64])
    output = helper.make_tensor_value_info("output", float32, shape)
    graph = helper.make_graph(nodes, "constant", [image], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 1000), "model {path}"), ((100, 7), "{path}.*end-to-end YOLOv7"), ((1, 3), "{path}")],
)
def test_a_model_that_is_refused_is_named_by_the_users_own_file(tmp_path, shape, said):
    path = constant(tmp_path / "mine.onnx", shape)
    with pytest.raises(ModelError, match=said.format(path=path)) as caught:
        vedette_model("prepare", path, "--out", tmp_path / "out")
    assert "vedette-prepare" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_manifests_that_are_none_are_refused(tmp_path):
    path = tmp_path / "m.json"
    for text in ("", "[]", "{}", '{"classes": 3}', "[" * 99_999, '{"input_size": [1e999, 1]}', "\xff"):
        path.write_text(text)
        with pytest.raises(ModelError, match="is none"):
            manifest.read(path)
    with pytest.raises(ModelError, match="cannot be read"):
        manifest.read(tmp_path / "none.json")


def test_drawn_images_are_the_same_each_time():
    first, second = drawn_images(), drawn_images()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("words", [(), ("--no-half",), ("--input", "float")])
def test_for_a_gpu_it_is_half_takes_uint8_and_gives_its_best_first(tiny, tmp_path, make_frame, words):
    source = tiny()
    assert vedette_model("prepare", source, "--for", "gpu", "--out", tmp_path / "out", *words) == 0
    _, before = detect(source, make_frame(quarters()))
    detector, after = detect(tmp_path / "out" / "tiny.onnx", make_frame(quarters()))
    kind = {"--no-half": "uint8-bgr", "--input": "float16"}.get(words[0], "") if words else "uint8-bgr"
    assert detector.info.input_type == kind
    assert after.class_ids.tolist() == before.class_ids.tolist()
    assert np.allclose(after.boxes, before.boxes, atol=0.5)
    frame = make_frame(quarters())
    scores = detector.propose(frame, confidence=0.001).found.scores
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    made = onnx.load(str(tmp_path / "out" / "tiny.onnx"))
    half = {10: True}.get(made.graph.output[0].type.tensor_type.elem_type, False)
    assert half == ("--no-half" not in words)


@pytest.mark.shared
@pytest.mark.parametrize(
    "words",
    [(), ("--input", "uint8"), ("--half",), ("--static", "--imgsz", "384", "640"), ("--for", "gpu")],
)
def test_the_real_model(shared, tmp_path, make_frame, words):
    source = shared / "models" / "yolo11n.onnx"
    capture = cv2.VideoCapture(str(shared / "videos" / "one-by-one-person-detection.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 200)
    images = [capture.read()[1] for _ in range(3)]
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    vedette_model("prepare", source, "--for", "cpu", "--out", tmp_path / "out", "--images", folder, *words)
    detector, found = detect(tmp_path / "out" / "yolo11n.onnx", make_frame(images[0]))
    assert detector.info.embedding_size == 256  # C2PSA, layer 10
    record = manifest.read(tmp_path / "out" / "yolo11n.json")
    assert record.embedding_tensor.startswith("/model.10/")
    assert record.quickened == (0 if "gpu" in words else 10)  # its head, and nine splits
    assert np.isfinite(found.embedding).all()
    assert found.embedding.std() > 0
    _, before = detect(source, make_frame(images[0]))
    assert found.class_ids.tolist() == before.class_ids.tolist()
    assert np.allclose(found.boxes, before.boxes, atol=2)
    assert np.allclose(found.scores, before.scores, atol=0.02)


@pytest.mark.shared
def test_a_real_checkpoint(shared, tmp_path):
    pytest.importorskip("ultralytics")
    vedette_model("prepare", shared / "models" / "yolo11n.pt", "--out", tmp_path)
    record = manifest.read(tmp_path / "yolo11n.json")
    assert record.embedding_size == 256
    assert record.ultralytics
    assert record.dynamic
    assert len(record.classes) == 80
