"""Roboflow's `InferencePipeline` around its own YOLOv8 class for ONNX files: MODEL VIDEO SECONDS HEIGHT,WIDTH.

Its models come by name from Roboflow's service; here the same class is given a package of one's own model.
"""

import json
import os
import queue
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

os.environ.update(
    TELEMETRY_OPT_OUT="True", OFFLINE_MODE="True", ONNXRUNTIME_EXECUTION_PROVIDERS="[CPUExecutionProvider]"
)
import torch
from inference import InferencePipeline
from inference_models.models.yolov8.yolov8_object_detection_onnx import YOLOv8ForObjectDetectionOnnx
from measure import measure

model_path, video, seconds, size = sys.argv[1:]
height, width = json.loads(size)
NETWORK = {
    "training_input_size": {"height": height, "width": width}, "dynamic_spatial_size_supported": False,
    "color_mode": "rgb", "resize_mode": "letterbox", "padding_value": 114, "input_channels": 3, "scaling_factor": 255,
}  # fmt: skip
done: queue.Queue[int] = queue.Queue(4)

with tempfile.TemporaryDirectory() as folder:
    package = Path(folder)
    (package / "weights.onnx").symlink_to(model_path)
    (package / "class_names.txt").write_text("\n".join(f"class{n}" for n in range(80)))
    config = {
        "network_input": NETWORK, "forward_pass": {"max_dynamic_batch_size": 8},
        "post_processing": {"type": "nms", "fused": False},
    }  # fmt: skip
    (package / "inference_config.json").write_text(json.dumps(config))
    model = YOLOv8ForObjectDetectionOnnx.from_pretrained(folder, device=torch.device("cpu"))


def look(frames: list[Any]) -> Any:
    return model(
        [frame.image for frame in frames], input_color_format="bgr", confidence=0.25, iou_threshold=0.7
    )


def play() -> None:
    while True:  # a file ends; it is opened anew, as the others go back to its beginning
        pipeline = InferencePipeline.init_with_custom_logic(
            video_reference=video, on_video_frame=look, on_prediction=lambda *_: done.put(1)
        )
        pipeline.start()
        pipeline.join()


threading.Thread(target=play, daemon=True).start()
measure(done.get, float(seconds))
os._exit(0)
