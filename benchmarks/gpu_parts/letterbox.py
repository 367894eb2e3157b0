"""Frames of cameras' sizes through each model, letterboxed on the CPU or in its graph: frames/s, CPU a frame, boxes."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2

from agent.core.types import Frame
from agent.detection.session import Detector
from gpu_parts.bare import detector, loop, spread
from gpu_parts.boxes import compared, seen
from gpu_parts.note import label, note, rounded, run

SHAPES = ((432, 768), (1080, 1920), (2160, 3840))


def main(about: dict[str, Any]) -> None:
    """All models on one size, slices in turn; boxes against the plain one on the CPU."""
    some = spread(about["video"], min(8, about["frames"]))
    plain = detector(about["model"], "cpu")
    others = {
        label(model, about): detector(model, about["provider"])
        for model in [about["model"], *about["variants"]]
    }
    for shape in SHAPES:
        frames = [resized(frame, shape) for frame in some]
        normal = [seen(plain, frame) for frame in frames]
        for size in (1, len(frames)):
            for name, made in others.items():
                if size == 1:
                    boxes = compared(normal, [seen(made, frame) for frame in frames])
                    note(
                        "boxes by frame size, to the plain model on the CPU",
                        model=name,
                        **place(made, shape),
                        **boxes,
                    )
                measure(name, made, frames[:size], shape, about["slice"] * about["rounds"])


def resized(frame: Frame, shape: tuple[int, int]) -> Frame:
    return dataclasses.replace(frame, image=cv2.resize(frame.image, shape[::-1]))


def place(made: Detector, shape: tuple[int, int]) -> dict[str, Any]:
    where = "graph" if made.info.letterboxes else "CPU"
    return {"frame": f"{shape[1]}x{shape[0]}", "letterboxed": where, "provider": made.info.provider}


def measure(name: str, made: Detector, frames: list[Frame], shape: tuple[int, int], seconds: float) -> None:
    for _ in range(2):
        made.detect(frames)
    stages: list[float] = []

    def once() -> None:
        stages.append(made.detect(frames).preprocess)

    calls, wall, cpu = loop(once, seconds)
    size = len(frames)
    note(
        "letterbox",
        model=name,
        **place(made, shape),
        batch=size,
        fps=rounded(calls * size / wall, 1),
        cpu_ms=rounded(cpu * 1e3 / calls / size),
        preprocess_ms=rounded(sum(stages) * 1e3 / calls / size),
    )


if __name__ == "__main__":
    run(main)
