"""The choice of an engine: measured once and kept, never another one's boxes, ONNX Runtime where it fails."""

import dataclasses
import json
import shutil
import subprocess
import sys

import onnx
import pytest
import structlog
from onnx import numpy_helper

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.detection import choice, choice_process
from agent.detection.choice_store import FILE_NAME, Choice, ChoiceStore, circumstances
from agent.detection.cpu import Cpu
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector

pytest.importorskip("openvino")
AUTO = ModelSettings(threads=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(choice, "BUDGET_SECONDS", 0.0)
    monkeypatch.setattr(choice, "LEAST_BYTES", 0)


@pytest.fixture
def bf16(monkeypatch):
    monkeypatch.setattr(choice, "read_cpu", lambda: Cpu(model="x", bf16=True, saturates=False))


def started(cache, settings=AUTO):
    detector = Detector(settings, cache=cache)
    with structlog.testing.capture_logs() as events:
        detector.open()
    return detector, [event["event"] for event in events]


def plain(settings):
    """An open detector of these settings, nothing chosen."""
    detector = Detector(settings)
    detector.open()
    return detector


def chosen(cache, open_, settings=AUTO):
    with structlog.testing.capture_logs() as events:
        detector, reason = choice.choose(settings, cache, DEMO_MODEL, "hash", open_)
    return detector, reason, events


COMPARING = "comparing engines, once for this model on this machine: it takes seconds"


def test_engines_are_measured_once_and_the_choice_is_kept_and_told(tmp_path):
    first, events = started(tmp_path)
    assert events.index(COMPARING) < events.index("engine is chosen")
    assert first.info.choice.startswith("measured: cpu fp32 ")
    assert "openvino fp32" in first.info.choice
    assert "(same boxes)" in first.info.choice
    again, events = started(tmp_path)
    assert not {COMPARING, "engine is chosen"} & set(events)
    assert again.info == first.info


def test_without_a_place_to_keep_it_for_a_small_model_or_with_one_engine_nothing_is_measured(
    tmp_path, monkeypatch
):
    assert started(None)[0].info.choice == ""
    monkeypatch.setattr(choice, "LEAST_BYTES", 4 << 20)
    assert started(tmp_path)[0].info.choice == ""
    monkeypatch.setattr(choice, "LEAST_BYTES", 0)
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name == "openvino" else name)
    detector, events = started(tmp_path)
    assert (detector.info.provider, detector.info.choice) == ("cpu", "")
    assert not {COMPARING, "engine is chosen"} & set(events)


@pytest.mark.parametrize(
    ("settings", "has_bf16", "installed", "expected"),
    [
        ({}, False, "both", ["auto auto", "openvino fp32"]),
        ({}, True, "both", ["auto auto", "openvino fp32", "openvino bf16"]),
        ({"precision": "fp32"}, True, "both", ["auto fp32", "openvino fp32"]),
        ({"precision": "fp16"}, True, "both", ["auto fp16"]),
        ({}, True, "onnxruntime", ["auto auto"]),
        ({}, False, "openvino", ["openvino fp32"]),
        ({"provider": "cpu"}, True, "both", ["cpu auto"]),
        ({"provider": "cuda"}, True, "both", ["cuda auto"]),
        ({"provider": "openvino"}, False, "both", ["openvino fp32"]),
        ({"provider": "openvino"}, True, "both", ["openvino fp32", "openvino bf16"]),
        ({"provider": "openvino", "precision": "bf16"}, True, "both", ["openvino bf16"]),
    ],
)
def test_what_may_run_it(settings, has_bf16, installed, expected, monkeypatch):
    monkeypatch.setattr(choice, "read_cpu", lambda: Cpu(model="x", bf16=has_bf16, saturates=False))
    monkeypatch.setattr(choice, "find_spec", lambda name: name if installed in ("both", name) else None)
    offered = choice.alternatives(ModelSettings(**settings))
    assert [f"{one.provider} {one.precision}" for one in offered] == expected


@pytest.fixture
def damaged(tmp_path):
    """The demo model with the last weights of its head changed: a runtime that multiplies wrongly."""
    model = onnx.load(shutil.copy(DEMO_MODEL, tmp_path / "damaged.onnx"))
    weights = [one for one in model.graph.initializer if len(one.dims) == 4]
    for one in weights[-6:]:
        one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * 0.3, one.name))
    onnx.save(model, str(tmp_path / "damaged.onnx"))
    return str(tmp_path / "damaged.onnx")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_faster_engine_with_other_boxes_is_not_chosen(tmp_path, damaged, bf16, precision, monkeypatch):
    monkeypatch.setattr(choice, "GAIN", 0.0)  # it is faster, whatever it takes

    def open_(settings):
        wrong = settings.provider == "openvino" and settings.precision == precision
        return plain(dataclasses.replace(settings, path=damaged if wrong else "", provider="cpu"))

    detector, reason, _ = chosen(tmp_path, open_)
    assert detector.info.path == str(DEMO_MODEL)
    if precision == "fp32":
        assert "(other boxes)" in reason


def test_the_fastest_that_agrees_is_chosen_and_by_a_margin_only():
    detectors = [plain(dataclasses.replace(AUTO, provider=one)) for one in ("cpu", "openvino")]

    def best(*seconds):
        trials = [
            choice._Trial(detector=one, turns=[9.0, each])
            for one, each in zip(detectors, seconds, strict=True)
        ]
        return choice._best(trials)[0].detector.info.provider

    assert best(0.020, 0.010) == "openvino"
    assert best(0.020, 0.0195) == "cpu"
    assert best(0.020, 0.030) == "cpu"


def test_bf16_needs_enough_boxes_that_agree(bf16, monkeypatch):
    first, coarse = (
        choice._Trial(detector=plain(dataclasses.replace(AUTO, provider="openvino", precision=precision)))
        for precision in ("fp32", "fp32")
    )
    coarse.detector._info = dataclasses.replace(coarse.detector.info, precision="bf16")
    for trial in (first, coarse):
        trial.take(range(6))
    assert choice._agrees(first, coarse) == (True, "F1 1.000, at least 0.97 needed")
    coarse.found[0] = first.found[1]
    agrees, how = choice._agrees(first, coarse)
    assert not agrees
    assert how.startswith("F1 0.")
    coarse.found = {}  # what no turn came to is looked at all the same
    assert choice._agrees(first, coarse) == (True, "F1 1.000, at least 0.97 needed")
    monkeypatch.setattr(choice, "LEAST_BOXES", 1000)
    assert choice._agrees(first, coarse) == (False, "fewer than 1000 boxes to compare")


def test_a_kept_choice_that_cannot_be_opened_gives_way_to_onnx_runtime_aloud(tmp_path):
    key = circumstances(AUTO, "hash")
    ChoiceStore(tmp_path).put(key, Choice(provider="openvino", precision="fp32", reason="was faster"))

    def open_(settings):
        if settings.provider == "openvino":
            raise ModelError("model x cannot be loaded by OpenVINO")
        return plain(settings)

    detector, reason, events = chosen(tmp_path, open_)
    assert (detector.info.provider, reason) == ("cpu", "openvino fp32 could not be opened")
    (warning,) = [event for event in events if event["log_level"] == "warning"]
    assert "cannot be loaded by OpenVINO" in warning["reason"]
    assert ChoiceStore(tmp_path).find(key) is None


def test_an_engine_that_cannot_open_or_run_the_model_is_left_out(tmp_path):
    def open_(settings):
        if settings.provider == "openvino":
            raise ModelError("model x cannot be loaded by OpenVINO")
        return plain(settings)

    detector, reason, _ = chosen(tmp_path, open_)
    assert detector.info.provider == "cpu"
    assert reason.startswith("measured: cpu fp32")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"choices": {"x": 3}}', b'{"choices": {"x": {"provider": 1}}}']
)
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    store, made = ChoiceStore(tmp_path), Choice(provider="auto", precision="auto", reason="why")
    assert store.find("x") is None
    store.put("x", made)
    assert store.find("x") == made


def test_the_newest_choices_are_kept_and_a_choice_holds_for_its_circumstances(tmp_path):
    store = ChoiceStore(tmp_path)
    for number in range(40):
        store.put(str(number), Choice(provider="auto", precision="auto", reason=str(number)))
    assert store.find("39") is not None
    assert store.find("3") is None
    assert len(json.loads((tmp_path / FILE_NAME).read_text())["choices"]) <= 16
    keys = {circumstances(*one) for one in ((AUTO, "a"), (AUTO, "b"), (ModelSettings(threads=2), "a"))}
    assert len(keys) == 3


def test_a_place_that_cannot_be_written_is_logged_and_the_model_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with structlog.testing.capture_logs() as events:
        ChoiceStore(tmp_path / "file").put("x", Choice(provider="auto", precision="auto", reason=""))
    assert "cannot be" in events[-1]["event"]


# -- in a process of its own -----------------------------------------------------------------------------------------


def test_where_engines_are_compared_the_library_that_loses_is_never_loaded(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from agent.config.schema import ModelSettings\n"
        "from agent.detection import choice\n"
        "from agent.detection.session import Detector\n"
        "choice.LEAST_BYTES, choice.BUDGET_SECONDS = 0, 0.0\n"
        "detector = Detector(ModelSettings(threads=1), cache=Path(sys.argv[1]))\n"
        "detector.open()\n"
        "assert detector.info.choice.startswith('measured: cpu fp32'), detector.info.choice\n"
        "loaded = [one for one in ('onnxruntime', 'openvino') if one in sys.modules]\n"
        "assert loaded == [{'cpu': 'onnxruntime'}.get(detector.info.provider, 'openvino')], loaded\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (
            "import os; os.kill(os.getpid(), 4)",
            "engines could not be compared: the process ended by signal 4",
        ),
        ("import time; time.sleep(60)", "comparing engines took over 1 s"),
    ],
)
def test_an_engine_that_crashes_or_hangs_takes_the_agent_not_with_it(tmp_path, monkeypatch, ends, told):
    monkeypatch.setattr(choice_process, "own_python", lambda _: [sys.executable, "-c", ends])
    monkeypatch.setattr(choice_process, "LONGEST_SECONDS", 1.0)
    detector, events = started(tmp_path)
    assert (detector.info.provider, detector.info.choice) == ("cpu", told)
    assert "engines could not be compared" in events
