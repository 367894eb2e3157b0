"""An Ultralytics data set: images and labels, by split and camera, and data.yaml."""

from __future__ import annotations

import json
import shutil

from agent.maintenance.samples.formats.labelled import DatasetExport


def write(export: DatasetExport) -> str:
    """Write it."""
    for one in export.each():
        images, labels = (
            export.out / kind / one.split / one.kept.sample.camera for kind in ("images", "labels")
        )
        for folder in (images, labels):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.kept.image, images / one.name)
        rows = (
            f"{box.class_id} {box.x:.6f} {box.y:.6f} {box.width:.6f} {box.height:.6f}\n" for box in one.boxes
        )
        (labels / one.name).with_suffix(".txt").write_text("".join(rows))
    there = {one.split for one in export.samples}
    some = next(iter(sorted(there)))
    splits = [f"{split}: images/{split if split in there else some}\n" for split in ("train", "val", "test")]
    names = [f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(export.classes)]
    text = "".join([*splits, "names:\n", *names]) if names else "".join([*splits, "names: {}\n"])
    (export.out / "data.yaml").write_text(text, encoding="utf-8")
    return f"train: yolo detect train data={export.out / 'data.yaml'}"
