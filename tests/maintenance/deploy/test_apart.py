"""A model that takes all memory or crashes its engine ends a process beside the agent, and not the agent."""

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core import memory
from agent.core.errors import ModelError
from agent.detection.opening import DEMO_MODEL
from agent.maintenance.deploy import apart
from agent.maintenance.deploy.apart import open_apart
from tests.maintenance.deploy.conftest import MODEL, ask, outcome


def at(path):
    return replace(MODEL, path=str(path))


@pytest.fixture
def bomb(tmp_path):
    """A detector's file of some hundred bytes that fills 4 GB once it runs."""
    onnx = pytest.importorskip("onnx")
    helper, value = onnx.helper, onnx.helper.make_tensor_value_info
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "one"], ["output0"]),
    ]
    weights = [
        onnx.numpy_helper.from_array(np.array([1, 1, 1], np.int64), "one"),
        onnx.numpy_helper.from_array(np.array([1, 4, 250_000_000], np.int64), "size"),
    ]
    inputs, outputs = [value("images", 1, [1, 3, 64, 64])], [value("output0", 1, ["a", "b", "c"])]
    graph = helper.make_graph(nodes, "bomb", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "bomb.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_a_model_that_fills_the_memory_is_refused_and_the_agent_never_took_it(box, bomb, monkeypatch):
    service = box()
    old = service.detector.info.sha256
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = outcome(service, ask(service, "model_deploy", path=str(bomb)))
    assert done["state"] == "refused"
    assert done["reason"].startswith("it takes more memory than there is: model "), done
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    assert service.detector.info.sha256 == old


def test_what_else_is_wrong_with_a_model_is_the_agents_to_find(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(DEMO_MODEL.read_bytes()[:1000])
    for path in (DEMO_MODEL, broken, tmp_path / "none.onnx"):
        open_apart(at(path), time.sleep)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import os; os.kill(os.getpid(), 11)",
            r"crashed \(SIGSEGV\): it takes too much memory, or is damaged",
        ),
        ("import time; time.sleep(60)", "takes longer than 1 s"),
        ("raise SystemExit(3)", "gave no answer"),
    ],
)
def test_a_process_that_crashes_or_hangs_refuses_the_model(monkeypatch, code, words):
    monkeypatch.setattr(apart, "own_python", lambda *_words: [sys.executable, "-c", code])
    monkeypatch.setattr(apart, "LONGEST_SECONDS", 1.0)
    with pytest.raises(ModelError, match=words):
        open_apart(at(DEMO_MODEL), time.sleep)


def test_a_stop_ends_the_process_and_it_is_the_first_to_go_where_memory_is_short(monkeypatch, tmp_path):
    told = tmp_path / "told"
    code = (
        "import json, os, sys, time\n"
        "from pathlib import Path\n"
        "from agent.maintenance.child import serve\n"
        "def answer(_line):\n"
        "    adjusted = int(Path('/proc/self/oom_score_adj').read_text())\n"
        f"    Path({str(told)!r} + '.new').write_text(json.dumps([os.getpid(), os.nice(0), adjusted]))\n"
        f"    os.replace({str(told)!r} + '.new', {str(told)!r})\n"
        "    time.sleep(60)\n"
        "serve(answer, 7)\n"
    )
    own = Path(apart.__file__).parents[3]
    run = f"import sys; sys.path.insert(0, {str(own)!r})\n{code}"
    monkeypatch.setattr(apart, "own_python", lambda *_words: [sys.executable, "-c", run])

    class StoppedError(Exception):
        pass

    def pause(seconds):
        if told.exists():
            raise StoppedError
        time.sleep(seconds)

    with pytest.raises(StoppedError):
        open_apart(at(DEMO_MODEL), pause)
    process, nice, adjusted = json.loads(told.read_text())
    assert (nice >= 7, adjusted) == (True, 1000)
    assert not Path(f"/proc/{process}").exists()
