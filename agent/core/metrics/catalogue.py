"""Every metric there is, and how the fields of windows are merged."""

from __future__ import annotations

import re
from functools import lru_cache

from agent.core.metrics.agent import AGENT
from agent.core.metrics.camera import CAMERA
from agent.core.metrics.definition import Merge, Metric
from agent.core.metrics.delivery import DELIVERY
from agent.core.metrics.drift import DRIFT
from agent.core.metrics.gpu import GPU
from agent.core.metrics.host import HOST

CATALOGUE: tuple[Metric, ...] = (*AGENT, *CAMERA, *DRIFT, *HOST, *GPU, *DELIVERY)

_BY_FIELD: dict[str, Merge] = {
    f"gpu_{field}" if entity == "gpu" else field: metric.merge
    for metric in CATALOGUE
    for entity, _, field in [metric.name.partition(".")]
    if field and not metric.labels and entity != "drift"
}

_BY_NAME = (
    (re.compile(r"(?!feature_|detections_)\w+_max(_\w+)?|drift_\w+"), Merge.LARGEST),
    (re.compile(r"(?!feature_|detections_)\w+_min(_\w+)?"), Merge.SMALLEST),
    (re.compile(r"frames_\w+|class_\d+_count|lost"), Merge.SUM),
    (re.compile(r"\w+_total"), Merge.LAST),
)
"""Fields made of a metric (`cpu_max_ratio`), those of a verdict (not averaged away), and those of earlier versions."""

_BY_PATTERN = [
    (re.compile(metric.pattern().pattern.partition(r"\.")[2]), metric.merge)
    for metric in CATALOGUE
    if metric.labels and metric.name.startswith(("camera.", "host."))
]


@lru_cache(maxsize=4096)
def merge_of(field: str) -> Merge:
    """How a field of a payload is merged over windows: as its metric says, else by its name."""
    if field in _BY_FIELD:
        return _BY_FIELD[field]
    for pattern, merge in (*_BY_NAME, *_BY_PATTERN):
        if pattern.fullmatch(field):
            return merge
    return Merge.MEAN_OVER_FRAMES
