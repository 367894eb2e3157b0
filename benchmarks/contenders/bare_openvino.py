"""OpenVINO's `infer` on one random batch, nothing else, a run on each thread: MODEL SHAPE SECONDS THREADS f32|bf16."""

import json
import sys
import threading

import numpy as np
import openvino
from measure import measure

model, shape, seconds, threads, hint = sys.argv[1:]
options = {
    "INFERENCE_PRECISION_HINT": hint,
    "INFERENCE_NUM_THREADS": threads,
    "NUM_STREAMS": threads,
    "ENABLE_CPU_PINNING": "NO",
}
compiled = openvino.Core().compile_model(model, "CPU", options)
size = json.loads(shape)
batch = np.random.default_rng(0).random(size, dtype=np.float32)
own = threading.local()


def step() -> None:
    if not hasattr(own, "request"):
        own.request = compiled.create_infer_request()
    own.request.infer([batch], share_inputs=True, share_outputs=True)


measure(step, float(seconds), size[0], int(threads))
