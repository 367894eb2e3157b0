"""GPU memory and host memory: of a session by batch and by the arena's options, and of a second detector."""

from __future__ import annotations

import gc
from typing import Any

import psutil

from gpu_parts.bare import Session, batch_of, detector, pictures
from gpu_parts.device import Gpu
from gpu_parts.note import label, note, run

ARENAS = {
    "as the agent": {},
    "grows as asked": {"arena_extend_strategy": "kSameAsRequested"},
    "small workspace": {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_use_max_workspace": "0"},
}


def main(about: dict[str, Any]) -> None:
    """In use on the card beyond what was in use before this process asked for anything."""
    gpu = Gpu()
    before = gpu.memory_mb() or 0
    frames = pictures(about["video"], 16)
    made = detector(about["model"], about["provider"])

    def row(what: str, model: str) -> None:
        used = gpu.memory_mb()
        note(
            "memory",
            model=label(model, about),
            what=what,
            gpu_mb="" if used is None else used - before,
            rss_mb=round(psutil.Process().memory_info().rss / 2**20),
        )

    row("the agent's detector, open", about["model"])
    for size in about["batches"]:
        made.detect(frames[:size])
        row(f"and a batch of {size}", about["model"])
    made.close()
    del made
    gc.collect()
    row("closed again", about["model"])
    for model in [about["model"], *about["variants"]]:
        shaped = batch_of(detector(model, "cpu"), frames)
        for name, options in ARENAS.items():
            session = Session(model, about["provider"], **options)
            for size in about["batches"]:
                try:
                    session.run(shaped[:size])
                except Exception as error:  # noqa: BLE001  (a model of a fixed batch)
                    note("memory", model=label(model, about), what=name, says=str(error)[:120])
                    break
                row(f"bare session, {name}, batch of {size}", model)
            del session
            gc.collect()


if __name__ == "__main__":
    run(main)
