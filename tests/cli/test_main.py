"""The end of the process: its exit code holds whatever still runs."""

import subprocess
import sys

import pytest

ENDLESS = '''
import sys, threading
import numpy as np
import onnx, onnxruntime
from onnx import TensorProto, helper
from agent import __main__, cli


def endless():
    """A session whose run takes for ever: ONNX Runtime is asked for 10 ** 9 matrix products."""
    matrix = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [200, 200])
    flag = lambda name: helper.make_tensor_value_info(name, TensorProto.BOOL, [])
    count = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, [])
    steps = [helper.make_node("Not", ["on"], ["off"]), helper.make_node("Not", ["off"], ["still"]),
             helper.make_node("MatMul", ["m", "m"], ["mm"])]
    body = helper.make_graph(steps, "body", [count("i"), flag("on"), matrix("m")], [flag("still"), matrix("mm")])
    on = helper.make_tensor("t", TensorProto.BOOL, [], [True])
    nodes = [helper.make_node("Constant", [], ["go"], value=on), helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body)]
    graph = helper.make_graph(nodes, "graph", [count("n"), matrix("x")], [matrix("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(_args):
    session = endless()
    inputs = {"n": np.array(10**9), "x": np.zeros((200, 200), np.float32)}
    thread = threading.Thread(target=session.run, args=(None, inputs), daemon=True)
    thread.start()
    thread.join(0.5)  # by then it is within the run
    assert thread.is_alive()
    print("stopped")
    ERROR
    return 3


cli.COMMANDS["endless"] = ("endless", "a command that leaves an inference running")
sys.modules["endless"] = sys.modules["__main__"]
add_arguments = lambda parser: None
sys.argv = ["vedette", "endless"]
__main__.command()
'''


@pytest.mark.parametrize(
    ("error", "code", "printed"), [("", 3, ""), ("raise RuntimeError('broken')", 1, "RuntimeError: broken")]
)
def test_the_exit_code_holds_while_an_inference_still_runs(error, code, printed):
    """Python's own end aborted: `terminate called without an active exception`, and a core dump in the journal."""
    program = ENDLESS.replace("ERROR", error)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == "stopped\n"
    assert printed in ended.stderr
    assert "terminate" not in ended.stderr


def test_a_thread_that_is_no_daemon_is_waited_for():
    program = (
        "import threading; from agent.__main__ import leave;"
        "threading.Timer(0.3, print, ['done']).start();"
        "threading.Thread(target=threading.Event().wait, daemon=True).start(); leave(4)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (4, "done\n")
