"""CVAT: a ZIP file of images, and one in COCO's format to be uploaded as annotations."""

from __future__ import annotations

import json
import zipfile

from agent.maintenance.samples.formats import coco
from agent.maintenance.samples.formats.labelled import Export


def write(export: Export) -> str:
    """Write both."""
    images, boxes = export.out / "images.zip", export.out / "annotations.zip"
    with zipfile.ZipFile(images, "w", zipfile.ZIP_STORED) as archive:
        for one in export.each():
            archive.write(one.kept.image, one.name)
    with zipfile.ZipFile(boxes, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(coco.body(export), ensure_ascii=False)
        archive.writestr("annotations/instances_default.json", text)
    return f"make a task of {images}, then upload {boxes} as annotations in the format COCO 1.0"
