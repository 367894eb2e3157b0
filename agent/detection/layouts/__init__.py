"""How detectors write their boxes: one file each, and one registration here.

============ ===================== ================================= =============================================
layout       one image             models                            a column or row holds
============ ===================== ================================= =============================================
channels     (4 + classes, A)      YOLOv8, v9, 11, 12, ...           cx, cy, w, h, a score for each class
transposed   (A, 4 + classes)      the same, exported transposed     the same
rows         (A, 5 + classes)      YOLOv5 (yolov5 repository), v6, v7 cx, cy, w, h, objectness, class scores
end2end      (N, 6)                YOLOv10, 26, exports with nms     x1, y1, x2, y2, score, class; no NMS needed
rtdetr       (N, 4 + classes)      RT-DETR (Ultralytics before 8.4)  cx, cy, w, h in 0..1, class scores; no NMS
queries      (N, 6)                RT-DETR (Ultralytics since 8.4)   cx, cy, w, h in 0..1, score, class; no NMS
============ ===================== ================================= =============================================

A, the anchors, follow from the input's size; N is free. Shapes alone do not distinguish them: (300, 6) is an
end-to-end output, or an RT-DETR of two classes. So a layout is recognised by the values too (`recognise`).
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.detection.layouts import channels, end_to_end, queries, rows, rtdetr, transposed
from agent.detection.layouts.layout import Layout

LAYOUTS: Sequence[Layout] = (
    channels.LAYOUT,
    transposed.LAYOUT,
    rows.LAYOUT,
    end_to_end.LAYOUT,
    rtdetr.LAYOUT,
    queries.LAYOUT,
)
"""Every layout that the agent decodes, by which one `recognise` prefers where several explain an output."""
