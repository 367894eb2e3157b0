"""OpenVINO as an engine: the boxes of ONNX Runtime, threads and precision as set, errors, no usage data."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import structlog

from agent.config.schema import ModelSettings
from agent.core.errors import InferenceError, MissingExtra, ModelError
from agent.detection import run_limit
from agent.detection.cpu import Cpu, parse_cpu
from agent.detection.engines import openvino as engine
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.detection.trial import trial_image

pytest.importorskip("openvino")


def opened(path=DEMO_MODEL, **settings):
    detector = Detector(ModelSettings(path=str(path), **{"provider": "openvino", "threads": 2, **settings}))
    detector.open()
    return detector


def assert_same(ours, theirs):
    assert len(theirs) > 0
    assert ours.class_ids.tolist() == theirs.class_ids.tolist()
    assert np.allclose(ours.boxes, theirs.boxes, atol=0.5)
    assert np.allclose(ours.scores, theirs.scores, atol=2e-3)
    assert (ours.embedding is None) == (theirs.embedding is None)
    if ours.embedding is not None:
        assert np.allclose(ours.embedding, theirs.embedding, atol=1e-3)


def test_the_demo_model_gives_the_boxes_and_embedding_of_onnx_runtime(make_frame):
    frames = [make_frame(trial_image()), make_frame(np.ascontiguousarray(trial_image()[100:500]))]
    detector = opened()
    assert (detector.info.provider, detector.info.precision) == ("openvino", "fp32")
    assert detector.info.runtime.startswith("openvino 20")
    assert detector.info.embedding_size > 0
    expected = opened(provider="cpu")
    assert detector.info.sha256 == expected.info.sha256
    assert detector.verification == expected.verification
    for ours, theirs in zip(*(one.detect(frames).detections for one in (detector, expected)), strict=True):
        assert_same(ours, theirs)


@pytest.mark.shared
def test_the_real_model_gives_the_boxes_of_onnx_runtime(shared, make_frame):
    capture = cv2.VideoCapture(str(shared / "videos" / "bottle-detection.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 30)
    frame = make_frame(capture.read()[1])
    path = shared / "models" / "yolo11n.onnx"
    ours, theirs = (opened(path, provider=one).detect([frame]).detections[0] for one in ("openvino", "cpu"))
    assert_same(ours, theirs)


def test_lanes_that_run_abreast_get_each_their_own_results(tiny, make_frame):
    detector = opened(tiny(), lanes=4, threads=4)
    assert (detector.info.lanes, detector.info.threads) == (4, 1)
    images = [np.full((64, 64, 3), (0, 0, 100 + 10 * number), np.uint8) for number in range(8)]
    with ThreadPoolExecutor(4) as lanes:
        found = list(lanes.map(lambda image: detector.detect([make_frame(image)]).detections[0], images * 10))
    for image, one in zip(images * 10, found, strict=True):
        assert np.allclose(one.scores, image[0, 0, 2] / 255, atol=1e-3)


@pytest.mark.parametrize(("threads", "lanes", "expected"), [(1, 0, (1, 1)), (2, 1, (2, 1)), (6, 2, (3, 2))])
def test_threads_and_lanes_are_those_of_the_config(threads, lanes, expected, monkeypatch):
    import openvino

    asked = {}
    compile_model = openvino.Core.compile_model

    def listening(core, graph, device, options):
        asked.update(options)
        return compile_model(core, graph, device, options)

    monkeypatch.setattr(openvino.Core, "compile_model", listening)
    detector = opened(threads=threads, lanes=lanes)
    assert (detector.info.threads, detector.info.lanes) == expected
    assert (asked["INFERENCE_NUM_THREADS"], asked["NUM_STREAMS"]) == (str(threads), str(expected[1]))


def test_a_few_shapes_get_a_graph_of_their_own_and_all_the_same_results(tiny, monkeypatch):
    import openvino

    fixed = []
    compile_model = openvino.Core.compile_model

    def listening(core, graph, device, options):
        fixed.append(graph.inputs[0].partial_shape.is_static)
        return compile_model(core, graph, device, options)

    monkeypatch.setattr(openvino.Core, "compile_model", listening)
    path = tiny(batch="batch")
    runner, other = (opened(path, provider=one)._opened.runner for one in ("openvino", "cpu"))
    fixed.clear()
    batches = [
        np.full((count, 3, 64, 64), count / 10, np.float32) for count in range(1, engine.MOST_SHAPES + 3)
    ]
    for batch in batches * 2:
        (ours,), (theirs,) = runner.run(batch), other.run(batch)
        assert len(ours) == len(batch)
        assert np.allclose(ours, theirs, atol=1e-3)
    assert fixed == [True] * engine.MOST_SHAPES + [False]


def test_one_bad_frame_is_an_error_and_the_next_one_a_result(tiny, make_frame):
    detector = opened(tiny())
    with pytest.raises(InferenceError, match="the model failed"):
        detector._opened.runner.run(np.zeros((1, 3, 5, 5), np.float32))
    image = np.full((64, 64, 3), (0, 0, 200), np.uint8)
    assert len(detector.detect([make_frame(image)]).detections[0]) == 4


class Endless:
    """A request that does not end until it is cancelled."""

    def __init__(self, request):
        self._request, self.cancelled = request, False

    def start_async(self, *args, **options):
        self._request.start_async(*args, **options)

    def wait_for(self, milliseconds):
        self._request.wait()
        time.sleep(milliseconds / 1000)
        return False

    def cancel(self):
        self.cancelled = True


def test_a_run_that_does_not_end_is_ended(tiny, monkeypatch):
    monkeypatch.setattr(run_limit, "FIRST_SECONDS", 0.1)
    runner = opened(tiny(batch="batch"))._opened.runner
    runner.run(np.zeros((2, 3, 64, 64), np.float32))
    graph = runner._graphs[2, 3, 64, 64]
    graph._known.clear()
    endless = Endless(graph._idle.pop())
    graph._idle.append(endless)
    with pytest.raises(InferenceError, match=r"one run takes over 0\.1 s"):
        runner.run(np.zeros((2, 3, 64, 64), np.float32))
    assert endless.cancelled
    assert endless not in graph._idle
    assert len(runner.run(np.zeros((2, 3, 64, 64), np.float32))) == 1


def test_an_operator_that_it_does_not_know_is_named_with_the_file(tiny):
    import onnx

    path = tiny()
    model = onnx.load(str(path))
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="Unheard") as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_key_and_the_command_are_named(monkeypatch):
    for name in ("openvino", "openvino.frontend"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r'\[model\] provider = "openvino".*pip install .*openvino'):
        opened()


def test_bf16_is_taken_only_where_the_cpu_has_it_and_is_refused_aloud(monkeypatch):
    for has, expected in ((False, "fp32"), (True, "bf16")):
        cpu = Cpu(model="x", bf16=has, saturates=False)
        monkeypatch.setattr(engine, "read_cpu", lambda cpu=cpu: cpu)
        with structlog.testing.capture_logs() as events:
            assert opened(precision="bf16").info.precision == expected
        warned = [event for event in events if event["log_level"] == "warning"]
        assert len(warned) == (0 if has else 1)


CPUS = {
    "x86_64 avx2": ("x86_64", "model name : AMD EPYC 7B13\nflags : fpu avx2 fma\n", False, True),
    "x86_64 vnni": ("x86_64", "model name : Xeon\nflags : avx2 avx512_vnni\n", False, False),
    "x86_64 emulated": ("x86_64", "model name : Xeon\nflags : avx2 avx512f avx512bw\n", False, True),
    "x86_64 amx": (
        "x86_64",
        "model name : Xeon\nflags : avx2 avx512_bf16 amx_bf16 avx512_vnni\n",
        True,
        False,
    ),
    "pi 5": ("aarch64", "CPU part : 0xd0b\nFeatures : fp asimd asimddp\n", False, False),
    "orin": ("aarch64", "Features : fp asimd bf16\nFeatures : fp asimd bf16\n", True, False),
    "big and little": ("aarch64", "Features : fp asimd bf16\nFeatures : fp asimd\n", False, False),
    "nothing known": ("riscv64", "", False, False),
    "x86_64, nothing known": ("x86_64", "flags :\n", False, True),
}


@pytest.mark.parametrize("name", CPUS)
def test_what_a_cpu_has_is_read_of_the_kernel(name):
    machine, text, bf16, saturates = CPUS[name]
    found = parse_cpu(text, machine)
    assert (found.bf16, found.saturates) == (bf16, saturates)
    assert found.model


def test_it_is_imported_only_where_it_is_chosen_and_keeps_and_sends_no_usage_data(tmp_path):
    code = (
        "import sys\n"
        "from agent.config.schema import ModelSettings\n"
        "from agent.detection.session import Detector\n"
        "Detector(ModelSettings(provider='cpu')).open()\n"
        "assert not [name for name in sys.modules if name.startswith('openvino')]\n"
        "Detector(ModelSettings(provider='openvino')).open()\n"
        "assert 'openvino' in sys.modules and 'openvino_telemetry' not in sys.modules\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []
