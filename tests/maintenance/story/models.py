"""The models of the story beside the trained one: the demo model as a checkpoint, a bad one, one that is blind in fog."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.detection.opening import DEMO_MODEL

ROOT = Path(__file__).resolve().parents[3]


def rejoined(weights):
    """Convolutions that `vedette model prepare` cut in parts, whole again, by the names that Ultralytics gives them."""
    parts = {}
    for name in sorted(weights):
        if found := re.fullmatch(r"/(model\S+?/conv)/Conv_output_0/part\d+/([12])", name):
            kind = "weight" if found[2] == "1" else "bias"
            parts.setdefault(f"{found[1].replace('/', '.')}.{kind}", []).append(weights[name])
    return {name: np.concatenate(each) for name, each in parts.items()}


def checkpoint(folder, images, python):
    """A checkpoint of the demo model, made by the interpreter `python`, which has ultralytics."""
    import onnx
    from onnx import numpy_helper

    sys.path.insert(0, str(ROOT / "scripts"))
    from train_demo_model import ARCHITECTURE

    weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(DEMO_MODEL).graph.initializer}
    known = {name: value for name, value in weights.items() if name.startswith("model.")} | rejoined(weights)
    np.savez(folder / "demo.npz", names=np.array(CLASSES), **known)
    (folder / "yolo11n-demo.yaml").write_text(ARCHITECTURE.format(classes=len(CLASSES), width=0.125))
    target = folder / "now.pt"
    words = [
        python,
        Path(__file__).with_name("checkpoint.py"),
        folder / "demo.npz",
        folder / "yolo11n-demo.yaml",
        images,
        target,
    ]
    quiet = {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_CONFIG_DIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }  # else threads spin
    subprocess.run([str(word) for word in words], check=True, env=quiet, cwd=folder)
    return target


def with_mixed_up_classes(source, target):
    """Boxes as before, each of another class: what a training on a wrong list of classes gives."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    for one in model.graph.initializer:
        if ".cv3." in one.name and one.dims[0] == 7:
            one.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(one), 1, axis=0), one.name))
    onnx.save(model, target)
    return target


def blind_in_fog(source, target, brightest):
    """The same weights, but nothing is found in a frame whose mean, 0 to 1, is over `brightest`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    graph = model.graph
    images, boxes = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.output[:] = ["seen" if name == boxes else name for name in node.output]
        node.input[:] = ["seen" if name == boxes else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([brightest], np.float32), "brightest"))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", [images], ["brightness4"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Squeeze", ["brightness4", "last"], ["brightness"]),
            helper.make_node("Less", ["brightness", "brightest"], ["clear"]),
            helper.make_node("Cast", ["clear"], ["factor"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["seen", "factor"], [boxes]),
        ]
    )
    graph.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "last"))
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target
