"""Do the GPU and the CPU see the same? Boxes of both on each video: IoU, score differences, boxes without a partner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agent.core.types import Detections, Frame
from agent.detection.nms import overlap
from agent.detection.session import Detector
from gpu_parts.bare import detector, spread
from gpu_parts.note import label, note, rounded, run

PARTNER_IOU = 0.5


def main(about: dict[str, Any]) -> None:
    """Each model here against the plain one on the CPU."""
    plain = detector(about["model"], "cpu")
    frames = {video: spread(video, about["frames"]) for video in about["videos"]}
    normal = {video: [seen(plain, frame) for frame in some] for video, some in frames.items()}
    for model in [about["model"], *about["variants"]]:
        other = detector(model, about["provider"])
        for video, some in frames.items():
            found = compared(normal[video], [seen(other, frame) for frame in some])
            note(
                "boxes, to the plain model on the CPU",
                model=label(model, about),
                provider=other.info.provider,
                video=Path(video).stem,
                frames=len(some),
                **found,
            )
        other.close()


def seen(by: Detector, frame: Frame) -> Detections:
    return by.detect([frame]).detections[0]


def compared(normal: list[Detections], others: list[Detections]) -> dict[str, Any]:
    """Partners are boxes of one class with IoU over a half, the best first."""
    ious: list[float] = []
    differences: list[float] = []
    alone: list[float] = []
    for one, other in zip(normal, others, strict=True):
        pairs = partners(one, other)
        ious += [iou for _, _, iou in pairs]
        differences += [abs(float(one.scores[a] - other.scores[b])) for a, b, _ in pairs]
        alone += np.delete(one.scores, [a for a, _, _ in pairs]).tolist()
        alone += np.delete(other.scores, [b for _, b, _ in pairs]).tolist()
    return {
        "boxes": sum(len(one.scores) for one in normal),
        "partners": len(ious),
        "least_iou": rounded(min(ious, default=1.0), 4),
        "mean_iou": rounded(np.mean(ious or [1.0]), 5),
        "largest_score_difference": rounded(max(differences, default=0.0), 5),
        "alone": len(alone),
        "best_score_alone": rounded(max(alone, default=0.0)),
    }


def partners(one: Detections, other: Detections) -> list[tuple[int, int, float]]:
    if not len(one.scores) or not len(other.scores):
        return []
    table = overlap(one.boxes, other.boxes) * (one.class_ids[:, None] == other.class_ids[None, :])
    found = []
    for _ in range(min(table.shape)):
        a, b = np.unravel_index(int(table.argmax()), table.shape)
        if table[a, b] < PARTNER_IOU:
            break
        found.append((int(a), int(b), float(table[a, b])))
        table[a, :] = table[:, b] = -1
    return found


if __name__ == "__main__":
    run(main)
