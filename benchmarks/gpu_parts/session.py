"""Bare `session.run` against `Detector.detect`: batches of 1, 4, 8, 16 of each model, slices of time in turn."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from gpu_parts.bare import Session, batch_of, detector, loop, pictures
from gpu_parts.device import Gpu
from gpu_parts.note import label, note, rounded, run

BEST = "bound, copied in and out"


def main(about: dict[str, Any]) -> None:
    """A table row for each model, batch and way to run it, as soon as it is known."""
    frames, gpu = pictures(about["video"], 16), Gpu()
    for model in [about["model"], *about["variants"]]:
        ours = detector(model, about["provider"])
        theirs = Session(model, about["provider"])
        for size in about["batches"]:
            if not ours.info.dynamic_batch and size != ours.info.max_batch:
                continue
            chosen = frames[:size]
            batch = batch_of(ours, chosen)[:size]
            theirs.bind(batch)
            contenders: dict[str, Callable[[], object]] = {
                "bound, on the device": theirs.resident,
                BEST: partial(theirs.copied, batch),
                "session.run": partial(theirs.run, batch),
                "Detector.detect": partial(ours.detect, chosen),
            }
            rows = in_turn(contenders, size, about["rounds"], about["slice"])
            for name, row in rows.items():
                note(
                    "session", model=label(model, about), provider=theirs.provider, batch=size, way=name, **row,
                    gpu_mb=gpu.memory_mb(),
                )  # fmt: skip
        ours.close()


def in_turn(
    contenders: dict[str, Callable[[], object]], size: int, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Frames/s and CPU of each; the ratio to the bound loop is taken within a round."""
    for step in contenders.values():  # kernels are chosen and memory is planned in the first runs
        step()
        step()
    rates: dict[str, list[float]] = defaultdict(list)
    cpus: dict[str, list[float]] = defaultdict(list)
    order = list(contenders.items())
    for turn in range(rounds):
        shift = turn % len(order)
        for name, step in order[shift:] + order[:shift]:
            calls, wall, cpu = loop(step, seconds)
            rates[name].append(calls * size / wall)
            cpus[name].append(cpu * 1e3 / calls / size)
    return {
        name: {
            "fps": rounded(statistics.median(values), 1),
            "ms_a_batch": rounded(size * 1e3 / statistics.median(values)),
            "cpu_ms": rounded(statistics.median(cpus[name])),
            "of_bound": rounded(statistics.median(a / b for a, b in zip(values, rates[BEST], strict=True))),
        }
        for name, values in rates.items()
    }


if __name__ == "__main__":
    run(main)
