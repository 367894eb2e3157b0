"""ONNX Runtime's `session.run` on one random batch, nothing else: MODEL SHAPE SECONDS default|waiting|abreast|unplanned THREADS."""

import json
import sys

import numpy as np
import onnxruntime
from measure import measure

model, shape, seconds, kind, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
# so many runs at a time, each on one thread, as the agent's
abreast = int(threads) if kind in ("abreast", "unplanned") else 1
options.intra_op_num_threads = int(threads) // abreast
if kind == "waiting":  # its threads sleep while they wait; by default they spin
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
if kind == "unplanned":  # each piece of memory is taken when it is needed, from a stock that all runs share
    options.enable_mem_pattern = False
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
size = json.loads(shape)
feed = {session.get_inputs()[0].name: np.random.default_rng(0).random(size, dtype=np.float32)}
measure(lambda: session.run(None, feed), float(seconds), size[0], abreast)
