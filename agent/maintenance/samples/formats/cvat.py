"""CVAT: a ZIP file of images, and one in COCO's format to be uploaded as annotations."""

from __future__ import annotations

import json
import zipfile

from agent.maintenance.samples.formats import coco
from agent.maintenance.samples.formats.labelled import DatasetExport


def write(export: DatasetExport) -> str:
    """Write both. (ZIP knows no time before 1980, and what a box without a battery kept may be of 1970.)"""
    images, boxes = export.out / "images.zip", export.out / "annotations.zip"
    with zipfile.ZipFile(images, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for one in export.each():
            archive.write(one.kept.image, one.name)
    with zipfile.ZipFile(boxes, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(coco.body(export), ensure_ascii=False)
        entry = zipfile.ZipInfo("annotations/instances_default.json")
        entry.external_attr = 0o600 << 16
        archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return f"make a task of {images}, then upload {boxes} as annotations in the format COCO 1.0"
