"""A model file is looked at before a runtime opens it: what it declares is bounded, and what it is not is said."""

import os
import random
import re
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError, VedetteError
from agent.detection import onnx_file, run_limit
from agent.detection.manifest import digest, identity
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto


def save(path, *, shape=(1, 3, 64, 64), output=(1, 7, 4), nodes=None, weights=(), metadata=()):
    """A model with an input of `shape` that declares an output of another."""
    value = helper.make_tensor_value_info
    inputs, outputs = [value("images", 1, list(shape))], [value("output0", 1, list(output))]
    nodes = nodes or [helper.make_node("Identity", ["images"], ["output0"])]
    made = helper.make_model(
        helper.make_graph(nodes, "odd", inputs, outputs, list(weights)),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    for key, text in metadata:
        made.metadata_props.add(key=key, value=text)
    path.write_bytes(made.SerializeToString())
    return path


def refusal(path):
    """What opening it says; it takes neither long, by the processor's time, nor much memory."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ModelError) as caught:
        Detector(ModelSettings(path=str(path), provider="cpu")).open()
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB
    text = str(caught.value)
    assert str(path) in text
    assert text.isprintable()
    assert len(text) < 600
    return text


@pytest.mark.parametrize(
    ("shape", "output", "words"),
    [
        ((1, 3, 60_000, 60_000), (1, 7, 4), "sides of at most 4096 pixels"),
        ((1, 3, 64, 2**40), (1, 7, 4), "sides of at most 4096 pixels"),
        (("n", 3, "h", 8192), (1, 7, 4), "? x 3 x ? x 8192"),
        ((1_000_000, 3, 4096, 4096), (1, 7, 4), "1000000 x 3"),
        ((1024, 3, 4096, 4096), (1, 7, 4), "the input 'images' of"),
        ((1, 3, 64, 64), (1, 7, 400_000_000), "the output 'output0' of 10681 MiB; at most"),
        ((1, 3, 64, 64), (2**40, 2**40, 2**40), "the output 'output0' of"),
        ((1, 3, 64, 64), (1, -7, 4), "a negative size"),
        ((1, 3, 64, 64), (2**62,) * 17, "the output 'output0' with 17 sides"),
        ((1, 3, 64, 64), (2**62,) * 100_000, "the output 'output0' with 100000 sides"),
    ],
)
def test_sizes_that_no_detector_has_are_refused_before_anything_is_allocated(tmp_path, shape, output, words):
    assert words in refusal(save(tmp_path / "big.onnx", shape=shape, output=output))


def test_an_output_that_grows_only_when_it_runs_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "largest_tensor", lambda: 2**20)
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "one"], ["cell"]),
        helper.make_node("Expand", ["cell", "size"], ["output0"]),
    ]
    weights = [
        numpy_helper.from_array(np.array([1, 1, 1], np.int64), "one"),
        numpy_helper.from_array(np.array([1, 7, 60_000], np.int64), "size"),
    ]
    path = save(tmp_path / "grows.onnx", output=("a", "b", "c"), nodes=nodes, weights=weights)
    assert "gives an output of 1 MiB; at most 1 MiB" in refusal(path)


def test_a_graph_that_loops_for_ever_is_ended_and_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run_limit, "FIRST_SECONDS", 0.1)
    value, passed_on = helper.make_tensor_value_info, [("more", 9, []), ("carried", 1, [1, 7, 4])]
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_on"]) for name, _, _ in passed_on],
        "body",
        [value("step", 7, []), *(value(*one) for one in passed_on)],
        [value(f"{name}_on", kind, shape) for name, kind, shape in passed_on],
    )
    weights = [
        numpy_helper.from_array(np.array(2**62, np.int64), "steps"),
        numpy_helper.from_array(np.array(True), "go_on"),
        numpy_helper.from_array(np.zeros((1, 7, 4), np.float32), "start"),
    ]
    nodes = [helper.make_node("Loop", ["steps", "go_on", "start"], ["output0"], body=body)]
    assert "one run takes over 0.1 s" in refusal(save(tmp_path / "loop.onnx", nodes=nodes, weights=weights))


def test_what_a_graph_makes_inside_of_itself_ends_in_words_and_not_in_a_killed_process(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "one"], ["output0"]),
    ]
    weights = [
        numpy_helper.from_array(np.array([1, 1, 1], np.int64), "one"),
        numpy_helper.from_array(np.array([1, 4, 250_000_000], np.int64), "size"),
    ]
    path = save(tmp_path / "bomb.onnx", output=("a", "b", "c"), nodes=nodes, weights=weights)
    script = (
        "import sys\n"
        "from agent.core import memory as heap\n"
        "heap.free_bytes = lambda: 2 << 30\n"
        "from agent.__main__ import main\n"
        "sys.exit(main(['model', 'inspect', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"vedette: model {path} cannot")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (("imgsz", "[60000, 60000]"), "its metadata `imgsz`"),
        (("names", "{[]:1}"), "its metadata `names`"),
        (("names", "-" * 5000), "its metadata `names`"),
        (("stride", "'a'"), "its metadata `stride`"),
        (("task", "\x1b]0;owned\x07"), "a model for"),
    ],
)
def test_what_a_model_says_of_itself_is_data(tmp_path, entry, words):
    assert words in refusal(save(tmp_path / "odd.onnx", shape=(1, 3, "h", "w"), metadata=[entry]))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/etc/passwd", "expected the name of a file beside it"),
        ("../secret", "outside of its folder"),
        ("link", "outside of its folder"),
        ("pipe", "is not a file"),
        ("none.bin", "is not a file"),
        ("", "expected the name"),
        ("short", "beyond the end"),
        ("\x1b[2J", "'\\x1b[2J'"),
    ],
)
def test_weights_lie_beside_the_model_or_it_is_refused(tmp_path, location, words):
    (tmp_path / "secret").write_bytes(b"\0" * 4096)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "short").write_bytes(b"\0" * 8)
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    tensor = TensorProto(name="w", data_type=1, dims=[3, 3, 2, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="144")
    nodes = [helper.make_node("Conv", ["images", "w"], ["output0"])]
    path = save(folder / "m.onnx", output=(1, 3, 63, 63), nodes=nodes, weights=[tensor])
    assert words in refusal(path)


def test_the_identity_of_a_model_covers_the_weights_that_lie_beside_it(tmp_path):
    tensor = TensorProto(name="w", data_type=1, dims=[3, 3, 2, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key="length", value="144")
    nodes = [helper.make_node("Conv", ["images", "w"], ["output0"])]
    (tmp_path / "w.bin").write_bytes(b"\0" * 144)
    path = save(tmp_path / "m.onnx", output=(1, 3, 63, 63), nodes=nodes, weights=[tensor])
    before = identity(path, onnx_file.check(path))
    (tmp_path / "w.bin").write_bytes(b"\1" * 144)
    assert identity(path, onnx_file.check(path)) != before
    alone = save(tmp_path / "alone.onnx")
    assert onnx_file.check(alone) == ()
    assert identity(alone, ()) == digest(alone)


@pytest.mark.parametrize(
    ("begins", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
        (b"\xef\xbb\xbf\n<!DOCTYPE HTML><html>", "a web page"),
        (b"<html><body>Sign in", "a web page"),
        (b'<?xml version="1.0"?><net name="x">', "OpenVINO"),
        (b'{"error": "not found"}', "JSON"),
        (b"PK\x03\x04" + b"x" * 40, "make an ONNX file with `vedette model prepare`"),
        (b"\x80\x02}q\x00.", "a pickle"),
        (b"\x1f\x8b\x08\x00" + b"x" * 40, "unpack it"),
        (b"\x1c\0\0\0TFL3" + b"x" * 40, "a TFLite file"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 40, "Keras"),
        (b"ftrt" + b"x" * 40, "a TensorRT engine"),
        (b"hello", "not an ONNX file"),
    ],
)
def test_another_file_under_the_name_of_a_model_is_named(tmp_path, begins, words):
    (tmp_path / "m.onnx").write_bytes(begins)
    with pytest.raises(ModelError, match=re.escape(words)):
        onnx_file.check(tmp_path / "m.onnx")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "not a plain file" in refusal(tmp_path / "pipe.onnx")
    assert "not a plain file" in refusal("/dev/zero")
    (tmp_path / "folder.onnx").mkdir()
    assert "is a directory" in refusal(tmp_path / "folder.onnx")
    (tmp_path / "empty.onnx").touch()
    assert "is empty" in refusal(tmp_path / "empty.onnx")
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(1 << 40)
    assert "at most 2147483647 are accepted" in refusal(tmp_path / "huge.onnx")
    with (tmp_path / "zeros.onnx").open("wb") as file:
        file.truncate(1 << 30)
    assert "truncated or corrupt" in refusal(tmp_path / "zeros.onnx")


def test_a_file_of_crumbs_is_not_walked_for_ever(tmp_path):
    (tmp_path / "crumbs.onnx").write_bytes(b"\x10\x01" * 5_000_000)
    assert "parts; that is not a detector" in refusal(tmp_path / "crumbs.onnx")


def test_graphs_within_graphs_are_followed_so_far_and_no_further(tmp_path):
    inner = b""
    for _ in range(200):  # attribute.g.node.attribute
        for number in (1, 5, 6):
            length, head = len(inner), []
            while length > 0x7F:
                head.append(length & 0x7F | 0x80)
                length >>= 7
            inner = bytes([number << 3 | 2, *head, length]) + inner
    (tmp_path / "deep.onnx").write_bytes(bytes([7 << 3 | 2]) + inner[1:])
    assert "deep" in refusal(tmp_path / "deep.onnx") or "corrupt" in refusal(tmp_path / "deep.onnx")


def test_the_models_that_are_in_use_pass(tiny):
    onnx_file.check(DEMO_MODEL)
    onnx_file.check(tiny())


def fuzz(folder, inputs, seed):
    """Damaged copies of a small model: each passes or is refused, none takes long; returns how many were refused."""
    draw, path = random.Random(seed), folder / "fuzzed.onnx"
    whole = save(folder / "whole.onnx", metadata=[("names", "{0: 'a'}"), ("imgsz", "[64, 64]")]).read_bytes()
    refused = 0
    for _ in range(inputs):
        raw = bytearray(whole)
        for _ in range(draw.randrange(1, 5)):
            at = draw.randrange(len(raw))
            kind = draw.randrange(4)
            if kind == 0:
                raw[at] = draw.randrange(256)
            elif kind == 1:
                del raw[at : at + draw.randrange(1, 9)]
            elif kind == 2:
                raw[at:at] = draw.randbytes(draw.randrange(1, 9))
            else:
                raw[at:at] = b"\xff" * draw.randrange(1, 10)
            raw = raw or bytearray(b"\x00")
        path.write_bytes(raw)
        try:
            onnx_file.check(path)
        except VedetteError as error:
            assert len(str(error)) < 1000
            refused += 1
    return refused


def test_damaged_files_pass_or_are_refused(tmp_path):
    assert fuzz(tmp_path, 1_500, seed=1) > 300


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_damaged_files_pass_or_are_refused(tmp_path):
    fuzz(tmp_path, 1_000, seed=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(tmp_path, 100_000, seed=3) > 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_damaged_files_that_pass_are_refused_in_words_by_the_runtime(tmp_path, tiny):
    draw, path = random.Random(4), tmp_path / "fuzzed.onnx"
    whole = tiny().read_bytes()
    for _ in range(1_500):
        raw = bytearray(whole)
        at = draw.randrange(len(raw) - 200, len(raw)) if draw.random() < 0.7 else draw.randrange(len(raw))
        raw[at] = draw.randrange(256)
        path.write_bytes(raw)
        detector = Detector(ModelSettings(path=str(path), provider="cpu", threads=1, lanes=1))
        try:
            detector.open()
        except VedetteError as error:
            assert "\n" not in str(error)
        detector.close()
