"""Trains the small model that ships (agent/detection/demo.onnx) on pictures of the drawn scenes, and measures it.

    python scripts/train_demo_model.py --work build/demo-model      # an interpreter with `pip install '.[export]'`
    vedette model prepare build/demo-model/demo.onnx --out agent/detection --force

The pictures are drawn from seeds, so the same command makes the same data: training scenes have seeds below
10,000, the held-out ones above. Training itself is seeded too, but differs in the last digits between machines.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent.cameras.kinds.synthetic.drawing.backdrops import LAYOUTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.detection.cpu import read_cpu

HELD_OUT_SEED = 10_000
PICTURES_A_SCENE = 6

# YOLO11 with an eighth of the full width, and without what costs a CPU most for what it gives here: ReLU, a distance for
# each side of a box in place of a distribution (`reg_max: 1`, as in YOLO26), no block at stride 4, no attention, no way
# back up after the finest grid, and boxes from strides 8 and 16 alone, since the drawn objects are 15 to 130 px large.
ARCHITECTURE = """
nc: {classes}
reg_max: 1
activation: torch.nn.ReLU()
scales:
  n: [0.50, {width}, 512]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 2, C3k2, [256, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, SPPF, [512, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 5], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 3], 1, Concat, [1]]
  - [-1, 2, C3k2, [256, False]]
  - [[14, 11], 1, Detect, [nc]]
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/demo-model"))
    parser.add_argument("--pictures", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hours", type=float, help="stop training after this long, whatever the epochs")
    parser.add_argument("--width", type=float, default=0.125)
    args = parser.parse_args()
    work = args.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    draw_set(work / "train", args.pictures, first_seed=0)
    draw_set(work / "val", 400, first_seed=HELD_OUT_SEED)
    data = work / "data.yaml"
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    data.write_text(f"path: {work}\ntrain: train/images\nval: val/images\nnames:\n{names}\n")
    architecture = work / "yolo11-demo.yaml"
    architecture.write_text(ARCHITECTURE.format(classes=len(CLASSES), width=args.width))
    train(work, data, architecture, args.epochs, args.hours)
    return 0


def draw_set(folder: Path, count: int, first_seed: int) -> None:
    """`count` pictures with labels in YOLO's format, a few from each of many scenes."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number in range(count // PICTURES_A_SCENE):
        random = np.random.default_rng((first_seed, number))
        scene = Scene(list(LAYOUTS)[number % len(LAYOUTS)], first_seed + number)
        for shot in range(PICTURES_A_SCENE):
            picture = scene.draw(
                float(random.uniform(0, 20_000)),
                float(random.uniform(0, 24)),
                shot,
                noise=float(random.uniform(0.4, 1.6)),
            )
            image = picture.image
            if random.random() < 0.2:  # a lens that is a little out of focus
                image = cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.4, 1.0)))
            name = f"{first_seed + number:05d}-{shot}"
            cv2.imwrite(str(folder / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
            (folder / "labels" / f"{name}.txt").write_text(
                labels(picture.boxes, picture.class_ids, image.shape)
            )


def labels(boxes: np.ndarray, class_ids: np.ndarray, shape: tuple[int, ...]) -> str:
    """Boxes as YOLO has them: class, centre and size in shares of the picture."""
    scale = np.array([shape[1], shape[0]] * 2)
    lines = []
    for (left, top, right, bottom), class_id in zip(boxes / scale, class_ids, strict=True):
        lines.append(
            f"{class_id} {(left + right) / 2:.6f} {(top + bottom) / 2:.6f} {right - left:.6f} {bottom - top:.6f}"
        )
    return "\n".join(lines)


def train(work: Path, data: Path, architecture: Path, epochs: int, hours: float | None) -> None:
    from ultralytics import YOLO

    model = YOLO(str(architecture))
    model.add_callback("on_train_start", quicken_training)
    parameters = sum(p.numel() for p in model.model.parameters())
    print(f"{parameters} parameters", flush=True)
    model.train(
        data=str(data), epochs=epochs, time=hours, imgsz=320, rect=True, batch=16, workers=0, cache="ram", amp=False,
        plots=False, pretrained=False, project=str(work), name="run", seed=0, deterministic=True, optimizer="AdamW",
        lr0=0.004, cos_lr=True, degrees=0.0, scale=0.3, erasing=0.0, warmup_epochs=1, val=False, device="cpu",
    )  # fmt: skip
    best = YOLO(str(work / "run" / "weights" / "best.pt"))
    figures = best.val(data=str(data), imgsz=320, batch=16, workers=0, plots=False, device="cpu")
    measured = {
        "parameters": parameters,
        "map50": round(float(figures.box.map50), 4),
        "map50_95": round(float(figures.box.map), 4),
        "map50_by_class": {
            CLASSES[index]: round(float(value), 4)
            for index, value in zip(figures.box.ap_class_index, figures.box.ap50, strict=True)
        },
        "held_out_pictures": len(list((work / "val" / "images").iterdir())),
    }
    exported = Path(
        best.export(format="onnx", imgsz=320, opset=17, dynamic=True, simplify=True, device="cpu")
    )
    describe(exported, work / "demo.onnx")
    (work / "measured.json").write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def describe(exported: Path, target: Path) -> None:
    """Correct what the export says of itself.

    Its stride is that of the coarsest grid with boxes, 16, but the backbone halves a frame five times; its description
    names the folder in which it was trained.
    """
    import onnx

    model = onnx.load(exported)
    known = {"stride": "32", "description": "Ultralytics YOLO11-demo model trained on drawn scenes"}
    for entry in model.metadata_props:
        entry.value = known.get(entry.key, entry.value)
    onnx.save(model, target)


def quicken_training(trainer: Any) -> None:
    """Channels last, and convolutions in bfloat16 where the CPU has it: 0.45 of the CPU time of a step."""
    import torch

    trainer.model.to(memory_format=torch.channels_last)
    if not read_cpu().bf16:
        return
    plain = trainer.model._predict_once

    def in_bfloat16(*inputs: Any, **options: Any) -> dict[str, Any]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer: dict[str, Any] = plain(*inputs, **options)
        return in_float32(answer)

    trainer.model._predict_once = in_bfloat16


def in_float32(value: Any) -> Any:
    """The same, whatever is nested in it, with tensors for the loss in full precision."""
    if isinstance(value, dict):
        return {name: in_float32(each) for name, each in value.items()}
    return [in_float32(each) for each in value] if isinstance(value, list) else value.float()


if __name__ == "__main__":
    sys.exit(main())
