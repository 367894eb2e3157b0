"""ONNX Runtime as an engine: CUDA graphs are taken only where they can be, and only while each frame is seen."""

import numpy as np
import pytest
import structlog

from agent.config.schema import ModelSettings
from agent.detection.engines.onnx_runtime import OnnxRuntime, sees_each_frame
from agent.detection.providers import cuda_options
from agent.detection.runner import Runner

onnxruntime = pytest.importorskip("onnxruntime")


class Replaying(Runner):
    """A session that gives the results of its second run from then on, as a graph does whose input has moved."""

    recorded = None
    runs = 0

    def run(self, batch):
        self.runs += 1
        if self.recorded is None:
            found = super().run(batch)
            self.recorded = found if self.runs == 2 else None
            return found
        return self.recorded


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("bound", [False, True])
def test_two_frames_give_two_results(tiny, dtype, bound):
    runner = Runner(onnxruntime, tiny(dtype=dtype, batch=1), ["CPUExecutionProvider"], threads=1)
    if bound:
        runner.bind("cpu", 0)
    assert sees_each_frame(runner)


def test_a_graph_that_gives_an_earlier_frame_is_seen(tiny):
    runner = Replaying(onnxruntime, tiny(batch=1), ["CPUExecutionProvider"], threads=1)
    assert not sees_each_frame(runner)


def test_a_model_of_free_size_is_not_recorded_and_that_is_said(tiny):
    runner = Runner(onnxruntime, tiny(batch="batch"), ["CPUExecutionProvider"], threads=1)
    with structlog.testing.capture_logs() as events:
        assert not OnnxRuntime(ModelSettings(cuda_graph=True), None)._records(runner)
    assert "--static" in events[0]["advice"]
    fixed = Runner(onnxruntime, tiny(batch=1), ["CPUExecutionProvider"], threads=1)
    assert OnnxRuntime(ModelSettings(cuda_graph=True), None)._records(fixed)
    assert not OnnxRuntime(ModelSettings(), None)._records(fixed)
    assert cuda_options(0, dynamic=False, graph=True)["enable_cuda_graph"] == "1"
    assert "enable_cuda_graph" not in cuda_options(0, dynamic=False)


@pytest.mark.skipif("CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="needs CUDA")
def test_on_cuda_two_frames_give_two_results_through_a_graph(tiny):
    settings = ModelSettings(path=str(tiny(batch=1)), provider="cuda", cuda_graph=True)
    runner = OnnxRuntime(settings, None).load(tiny(batch=1), "sha")
    assert runner.provider == "cuda"
    dark, bright = (np.full((1, 3, 64, 64), value, np.float32) for value in (0.0, 0.9))
    found = [runner.run(one)[0] for one in (dark, bright) * 3]
    assert not np.array_equal(found[4], found[5])
    assert np.array_equal(found[2], found[4])
