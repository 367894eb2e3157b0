"""Label Studio: images, and tasks whose predictions are the boxes."""

from __future__ import annotations

import json
import shutil
from typing import Any

from agent.maintenance.samples.formats.labelled import DatasetExport, Exported

_INTERFACE = """\
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image">
{labels}  </RectangleLabels>
</View>
"""


def write(export: DatasetExport) -> str:
    """Write it."""
    from xml.sax.saxutils import quoteattr

    images, tasks = export.out / "images", export.out / "tasks.json"
    images.mkdir()
    for one in export.each():
        shutil.copyfile(one.kept.image, images / one.name)
    tasks.write_text(
        json.dumps([_task(one, export.classes) for one in export.samples], ensure_ascii=False),
        encoding="utf-8",
    )
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in export.classes)
    (export.out / "interface.xml").write_text(_INTERFACE.format(labels=labels), encoding="utf-8")
    return f"serve {export.out} as local files, set interface.xml as the labelling interface, import {tasks}"


def _task(one: Exported, classes: tuple[str, ...]) -> dict[str, Any]:
    sample = one.kept.sample
    results = [
        {
            "id": f"box{number}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": sample.width,
            "original_height": sample.height,
            "image_rotation": 0,
            "value": {
                "x": round(100 * (box.x - box.width / 2), 4),
                "y": round(100 * (box.y - box.height / 2), 4),
                "width": round(100 * box.width, 4),
                "height": round(100 * box.height, 4),
                "rotation": 0,
                "rectanglelabels": [classes[box.class_id]],
            },
            "score": round(box.score, 4),
        }
        for number, box in enumerate(one.boxes)
    ]
    data = {
        "image": f"/data/local-files/?d=images/{one.name}",
        "camera": sample.camera,
        "reason": sample.reason,
    }
    return {"data": data, "predictions": [{"model_version": sample.model[:12], "result": results}]}
