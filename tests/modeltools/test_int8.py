"""`vedette model prepare --int8`: what stays in float, the gate on frames held out, the ladder, and every refusal."""

import argparse
import json
import re
import shutil
from itertools import pairwise

import cv2
import numpy as np
import pytest
import structlog

from agent.cameras.kinds.synthetic.camera import SyntheticCamera
from agent.cli import model as command
from agent.config.schema import ModelSettings
from agent.core.errors import CameraError, ConfigError, ModelError, VedetteError
from agent.core.types import Frame
from agent.detection import manifest, opening
from agent.detection.cpu import Cpu
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.modeltools import frames as sampling
from agent.modeltools import int8, quantise

onnx = pytest.importorskip("onnx")
IMAGES = 24


def prepare(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["prepare", *map(str, words)]))


def opened(path, **settings):
    detector = Detector(ModelSettings(path=str(path), threads=1, **{"provider": "cpu", **settings}))
    detector.open()
    return detector


@pytest.fixture(scope="module")
def drawn():
    """Frames of the drawn scene, some seconds apart."""
    camera = SyntheticCamera("drawn", SyntheticCamera.Options(pace="fast"))
    camera.open()
    found = [camera.read() for _ in range(IMAGES * 10)][::10]
    camera.close()
    return found


@pytest.fixture
def scenes(tmp_path, drawn):
    """The same as a folder of images."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number, frame in enumerate(drawn):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame.image)
    return folder


@pytest.fixture
def demo(tmp_path):
    return shutil.copy(DEMO_MODEL, tmp_path / "demo.onnx")


@pytest.fixture
def plain(tmp_path):
    """The demo model as it was before it was prepared: without the embedding."""
    model = onnx.load(str(DEMO_MODEL))
    made = {output: node for node in model.graph.node for output in node.output}
    node = made.get("embedding")
    del model.graph.output[1:]
    while node is not None and node.name.startswith("embedding/"):
        model.graph.node.remove(node)
        node = made.get(node.input[0])
    onnx.save(model, str(tmp_path / "plain.onnx"))
    return tmp_path / "plain.onnx"


@pytest.mark.timeout(600)  # 10 s of CPU time
@pytest.mark.parametrize(
    "engines", [("cpu",), pytest.param(("openvino",), marks=pytest.mark.slow)], ids=lambda one: one[0]
)
def test_the_demo_model_in_int8_finds_what_fp32_finds(
    plain, scenes, drawn, tmp_path, capsys, monkeypatch, engines
):
    pytest.importorskip(engines[0] if engines != ("cpu",) else "onnxruntime")
    monkeypatch.setattr(int8, "_engines", lambda: engines)
    assert prepare(plain, "--out", tmp_path / "out", "--for", "cpu", "--int8", "--frames", scenes) == 0
    made = tmp_path / "out" / "plain.onnx"
    record = manifest.read(manifest.path_of(made))
    assert record.int8["f1"] >= record.int8["least_f1"] == 0.97
    assert (record.int8["checked"], record.int8["calibrated"]) == (IMAGES // 3, IMAGES - IMAGES // 3)
    assert record.int8["boxes"] >= int8.LEAST_BOXES
    assert f"INT8: F1 {record.int8['f1']:.3f}" in capsys.readouterr().out
    assert record.int8["engines"].split() == list(dict.fromkeys((*engines, "cpu")))
    for engine in record.int8["engines"].split():
        detector = opened(made, provider=engine)
        assert (detector.info.precision, detector.info.int8_f1) == ("int8", record.int8["f1"])
        assert detector.info.embedding_size > 0
        assert f1_of(opened(DEMO_MODEL), detector, drawn) >= 0.9
    assert command.run(_parsed("inspect", made, "--json")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"]["precision"], shown["manifest"]["int8"]["f1"]) == ("int8", record.int8["f1"])


def f1_of(exact, other, drawn):
    names = exact.info.classes
    matches = BoxMatches()
    for frame in drawn:
        ours, theirs = (one.detect([frame]).detections[0] for one in (exact, other))
        matches += match_boxes(ours, names, theirs, names)
    return matches.f1(1)


def _parsed(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.mark.shared
def test_what_stays_in_float_of_the_real_model(shared):
    model = onnx.load(str(shared / "models" / "yolo11n.onnx"))
    quantise.name_nodes(model)
    exact = quantise.exact_nodes(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    last = [
        f"/model.23/{branch}.{level}/{branch}.{level}.2/Conv"
        for branch in ("cv2", "cv3")
        for level in range(3)
    ]
    assert {name for name in exact if kinds[name] == "Conv"} == {*last, "/model.23/dfl/conv/Conv"}
    assert "/model.23/Concat_26" in exact  # with it in INT8 no box is left
    inside = {
        name
        for name, kind in kinds.items()
        if "/attn/" in name and kind in ("MatMul", "Softmax", "Split", "Mul")
    }
    assert inside
    assert inside <= set(exact)
    assert not {name for name, kind in kinds.items() if "/attn/" in name and kind == "Conv"} & set(exact)
    rungs = list(quantise.rungs(model))
    assert all("/model.23/cv3" in name for name in rungs[1][1])
    assert {name for name, kind in kinds.items() if "/model.23/cv3" in name and kind == "Conv"} <= {
        *rungs[1][1],
        *exact,
    }


def test_each_rung_leaves_more_in_float(demo):
    model = onnx.load(demo)
    quantise.name_nodes(model)
    left = [nodes for _, nodes in quantise.rungs(model)]
    assert left[0] == set()
    assert all(before <= after for before, after in pairwise(left))
    assert left[-1] > left[1]


@pytest.fixture
def reaching(monkeypatch):
    """INT8 that reaches one F1 after the other, whatever it would."""

    def reach(*ratios):
        values = iter(ratios)

        def compare(*_, provider="cpu", **__):
            speed = 2.0 if provider == "openvino" else 1.5
            return BoxMatches(pairs=round(next(values, 0) * 1000), first=1000, second=1000), speed

        monkeypatch.setattr(int8, "_compare", compare)
        monkeypatch.setattr(int8, "_engines", lambda: ("cpu",))
        monkeypatch.setattr(quantise, "calibrate", lambda *_: None)
        monkeypatch.setattr(
            quantise,
            "quantised",
            lambda model, *_, **__: onnx.ModelProto.FromString(model.SerializeToString()),
        )

    return reach


def make(path, drawn, folder, **options):
    images = [frame.image for frame in drawn[:24]]
    model, info = onnx.load(str(path)), opened(path).info
    options = {"least_f1": 0.97, "progress": lambda items, *_: items, **options}
    return int8.make_int8(model, info, images, folder, **options)


def test_the_ladder_is_climbed_until_the_gate_is_passed(demo, drawn, tmp_path, reaching):
    counts = []
    for ratios in ((0.98,), (0.9, 0.96, 0.975)):
        reaching(*ratios)
        _, report = make(demo, drawn, tmp_path)
        counts.append((report.f1, report.in_float, report.convolutions))
    assert counts[0][:2] == (0.98, "nothing else")
    assert counts[1][:2] == (0.975, "these and the first convolutions")
    assert counts[1][2] < counts[0][2]


def test_of_two_engines_the_faster_that_agrees_everywhere_is_taken(
    demo, drawn, tmp_path, reaching, monkeypatch
):
    outcomes = []
    for ratios in ((0.98, 0.975, 0.99), (*[0.98, 0.9] * 5, 0.99)):  # OpenVINO, then ONNX Runtime on the same
        reaching(*ratios)
        monkeypatch.setattr(int8, "_engines", lambda: ("openvino", "cpu"))
        made, report = make(demo, drawn, tmp_path)
        marks = {entry.key: entry.value for entry in made.metadata_props}
        assert marks["vedette_int8_engines"] == report.engines
        outcomes.append((report.engines, report.f1, report.speed_ratio))
    assert outcomes == [("openvino cpu", 0.975, 2.0), ("cpu", 0.99, 1.5)]


@pytest.mark.parametrize(("frames", "calibrating"), [(24, 16), (72, 48), (144, 48)])
def test_what_is_calibrated_on_is_never_checked_on(frames, calibrating):
    images = [np.full((2, 2, 3), number, np.uint8) for number in range(frames)]
    parts = int8._parted(images)
    assert [len(part) for part in parts] == [calibrating, frames - calibrating]
    assert len({id(image) for part in parts for image in part}) == frames
    assert sorted(int8._spread(frames)) == list(range(frames))


def test_where_nothing_agrees_the_best_is_named_and_nothing_written(plain, scenes, tmp_path, reaching):
    reaching(0.5, 0.9, 0.8, 0.7, 0.6)
    with pytest.raises(
        ModelError, match=r"F1 0\.900 at best, with the class scores' branches in float.*0\.97"
    ):
        prepare(plain, "--out", tmp_path / "out", "--int8", "--frames", scenes)
    assert not list((tmp_path / "out").glob("*"))


# -- refusals ------------------------------------------------------------------------------------------------------


def refused(*words):
    with pytest.raises(VedetteError) as caught:
        prepare(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_frames_without_objects_prove_nothing(plain, tmp_path):
    folder = tmp_path / "black"
    folder.mkdir()
    for number in range(24):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((360, 640, 3), np.uint8))
    text = refused(plain, "--out", tmp_path / "out", "--int8", "--frames", folder)
    assert re.search(r"finds \d boxes on the 8 frames", text)
    assert "--frames" in text


def test_too_few_frames(plain, tmp_path, drawn):
    folder = tmp_path / "few"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), drawn[0].image)
    text = refused(plain, "--out", tmp_path / "out", "--int8", "--frames", folder)
    assert "1 frames can be read, at least 24 are needed" in text
    assert str(folder) in text


def test_a_video_that_cannot_be_read_and_one_that_is_not_there(plain, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    with pytest.raises(CameraError, match="broken"):
        prepare(plain, "--out", tmp_path / "out", "--int8", "--frames", broken)
    with pytest.raises(ConfigError, match="no such file or folder"):
        prepare(plain, "--out", tmp_path / "out", "--int8", "--frames", tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--int8",), "give a video, folder or camera with --frames"),
        (("--frames", "x.mp4"), "give --int8 too"),
        (("--int8", "--frames", "x.mp4", "--half"), "omit --half"),
        (("--int8", "--frames", "x.mp4", "--for", "gpu"), "omit --half and --for gpu"),
        (("--int8", "--frames", "x.mp4", "--least-f1", "1.5"), "--least-f1 1.5"),
        (("--int8", "--frames", "x.mp4", "--least-f1", "nan"), "--least-f1 nan"),
    ],
)
def test_words_that_do_not_go_together(demo, words, expected):
    assert expected in refused(demo, *words)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layout": "rtdetr"}, "layout rtdetr"),
        ({"input_type": "float16"}, "takes float16"),
        ({"input_type": "uint8-bgr"}, "takes uint8-bgr"),
    ],
)
def test_a_model_that_it_does_not_know(demo, change, expected):
    import dataclasses

    with pytest.raises(ModelError, match=expected):
        int8.refuse_unknown(onnx.load(demo), dataclasses.replace(opened(demo).info, **change))


def test_a_model_that_is_quantised_already(demo):
    model = onnx.load(demo)
    model.graph.node[0].op_type = "QuantizeLinear"
    with pytest.raises(ModelError, match="is quantised already"):
        int8.refuse_unknown(model, opened(demo).info)


# -- on another box ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "saturates", "warned"), [(8, True, 1), (8, False, 0), (7, True, 0), (0, True, 0)]
)
def test_weights_that_overflow_on_this_cpu_are_warned_of(tiny, bits, saturates, warned, monkeypatch):
    monkeypatch.setattr(opening, "read_cpu", lambda: Cpu(model="x", bf16=False, saturates=saturates))
    marks = {"vedette_precision": "int8", "vedette_int8_weights": str(bits)} if bits else {}
    path = tiny(metadata=marks)
    with structlog.testing.capture_logs() as events:
        opened(path)
    assert len([event for event in events if event["log_level"] == "warning"]) == warned


def test_an_engine_that_it_was_not_checked_on_refuses_it(tiny):
    path = tiny(metadata={"vedette_precision": "int8", "vedette_int8_engines": "cpu"})
    assert opened(path).info.precision == "int8"
    pytest.importorskip("openvino")
    with pytest.raises(
        ModelError, match=r'not found to agree with fp32 on openvino: set \[model\] provider = "cpu"'
    ):
        opened(path, provider="openvino")


def test_on_an_engine_that_it_was_not_made_for_it_is_slow_and_that_is_said(tiny):
    pytest.importorskip("openvino")
    path = tiny(metadata={"vedette_precision": "int8", "vedette_int8_engines": "openvino cpu"})
    said = {}
    for provider in ("auto", "openvino", "cpu"):
        with structlog.testing.capture_logs() as events:
            said[provider] = opened(path, provider=provider).info.provider
        warned = [event["advice"] for event in events if event["log_level"] == "warning"]
        assert len(warned) == (provider == "cpu")
    assert said == {"auto": "openvino", "openvino": "openvino", "cpu": "cpu"}
    assert 'set model.provider = "openvino"' in warned[0]


# -- frames --------------------------------------------------------------------------------------------------------


class Counted:
    """A source of numbered frames."""

    def __init__(self, total, *, finite=True):
        self.total, self.finite, self.at, self.closed = total, finite, 0, False

    def open(self):
        self.at = 0

    def read(self):
        if self.finite and self.at == self.total:
            return None
        self.at += 1
        image = np.full((4, 4, 3), self.at % 256, np.uint8)
        return Frame(camera="c", index=self.at, image=image, captured_at=0.0, monotonic_ns=0)

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("total", "most", "count"), [(250, 5, 5), (7, 5, 5), (5, 5, 5), (3, 5, 3), (0, 5, 0)]
)
def test_frames_are_spread_over_the_whole_source(total, most, count):
    camera = Counted(total)
    found = [
        int(image[0, 0, 0])
        for image in sampling.sample_frames(camera, most, (64, 64), lambda items, *_: items)
    ]
    assert camera.closed
    assert len(found) == len(set(found)) == count
    assert found == sorted(found)
    if total > most:
        assert found[0] == 1
        assert found[-1] > 0.8 * total
        assert max(np.diff(found)) <= 2.5 * total / most


def test_a_live_camera_gives_as_many_as_asked_and_large_frames_are_shrunk(monkeypatch):
    monkeypatch.setattr(sampling, "LIVE_SECONDS", 0.0)
    camera = Counted(0, finite=False)
    assert len(sampling.sample_frames(camera, 6, (64, 64), lambda items, *_: items)) == 6
    assert sampling._shrunk(np.zeros((720, 1280, 3), np.uint8), (640, 640)).shape == (360, 640, 3)
    assert sampling._shrunk(np.zeros((30, 40, 3), np.uint8), (640, 640)).shape == (30, 40, 3)
