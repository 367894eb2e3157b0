"""CUDA graphs: the same results as without, different ones for different frames, and how much faster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_parts.bare import Session, batch_of, detector, loop, pictures
from gpu_parts.note import label, note, rounded, run


def main(about: dict[str, Any]) -> None:
    """Sizes are fixed beforehand: a graph holds one shape, and everything in it must run on the GPU."""
    frames = pictures(about["video"], 64)
    for model in [about["model"], *about["variants"]]:
        made = detector(model, "cpu")
        for size in about["batches"][::2]:
            if not made.info.dynamic_batch and size != made.info.max_batch:
                continue
            one, other = (batch_of(made, some)[:size] for some in (frames[:size], frames[-size:]))
            try:
                compare(label(model, about), about, model, one, other)
            except Exception as error:  # noqa: BLE001  (what it says is the finding)
                note(
                    "CUDA graphs",
                    model=label(model, about),
                    batch=size,
                    says=" ".join(str(error).split())[:300],
                )
        made.close()


def compare(name: str, about: dict[str, Any], model: str, one: NDArray[Any], other: NDArray[Any]) -> None:
    """Two sessions of fixed sizes; with `enable_cuda_graph` the second run of a shape is recorded and replayed."""
    free = fixed_sizes(model, one.shape)
    plain = Session(model, about["provider"], free)
    graph = Session(model, about["provider"], free, enable_cuda_graph="1")
    shapes = [result.shape for result in plain.run(one)]  # a session with a graph takes bound runs only
    plain.bind(one, shapes)
    graph.bind(one, shapes)
    normal = [first(plain, one), first(plain, other)]
    replayed = [first(graph, one), first(graph, other)]
    again = first(graph, one)
    calls, wall, cpu = loop(lambda: plain.copied(one), about["slice"] * 3)
    graph_calls, graph_wall, graph_cpu = loop(lambda: graph.copied(one), about["slice"] * 3)
    size = len(one)
    note(
        "CUDA graphs",
        model=name,
        batch=size,
        recorded="yes" if graph.device == "cuda" else "no, not on CUDA",
        frames_differ=bool(np.abs(replayed[0] - replayed[1]).max() > 1),
        off_from_plain=rounded(max(np.abs(a - b).max() for a, b in zip(normal, replayed, strict=True)), 5),
        same_again=bool(np.array_equal(again, replayed[0])),
        fps_plain=rounded(calls * size / wall, 1),
        fps_graph=rounded(graph_calls * size / graph_wall, 1),
        cpu_ms_plain=rounded(cpu * 1e3 / calls / size),
        cpu_ms_graph=rounded(graph_cpu * 1e3 / graph_calls / size),
    )


def first(session: Session, batch: NDArray[Any]) -> NDArray[np.float32]:
    return session.copied(batch)[0].astype(np.float32)


def fixed_sizes(model: str, shape: tuple[int, ...]) -> dict[str, int]:
    """The model's free sizes by name, as this batch has them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    declared = session.get_inputs()[0].shape
    return {name: size for name, size in zip(declared, shape, strict=True) if isinstance(name, str)}


if __name__ == "__main__":
    run(main)
