"""What samples are exported as; each format is a file with one function and an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.maintenance.samples.formats import coco, cvat, label_studio, yolo
from agent.maintenance.samples.formats.labelled import DatasetExport


class ExportFormat(Protocol):
    """Writes an export."""

    def __call__(self, export: DatasetExport, /) -> str:
        """Write it; what to do with it, in one line. Raises OSError."""


FORMATS: Mapping[str, ExportFormat] = {
    "yolo": yolo.write,
    "coco": coco.write,
    "label-studio": label_studio.write,
    "cvat": cvat.write,
}
