"""COCO: images, and one JSON file with the boxes in pixels."""

from __future__ import annotations

import json
import shutil
from typing import Any

from agent.maintenance.samples.formats.labelled import DatasetExport


def write(export: DatasetExport) -> str:
    """Write it."""
    images, file = export.out / "images", export.out / "annotations" / "instances_default.json"
    for folder in (images, file.parent):
        folder.mkdir()
    for one in export.each():
        shutil.copyfile(one.kept.image, images / one.name)
    file.write_text(json.dumps(body(export), ensure_ascii=False), encoding="utf-8")
    return f"the boxes are in {file}"


def body(export: DatasetExport) -> dict[str, Any]:
    """The JSON values; images and categories count from 1."""
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(export.samples, 1):
        wide, tall = one.kept.sample.width, one.kept.sample.height
        for box in one.boxes:
            width, height = box.width * wide, box.height * tall
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": box.class_id + 1,
                    "segmentation": [],  # readers of CVAT and Datumaro miss it
                    "bbox": [
                        round(v, 2)
                        for v in (box.x * wide - width / 2, box.y * tall - height / 2, width, height)
                    ],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {
                "id": number,
                "file_name": one.name,
                "width": one.kept.sample.width,
                "height": one.kept.sample.height,
            }
            for number, one in enumerate(export.samples, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(export.classes, 1)],
        "annotations": annotations,
    }
