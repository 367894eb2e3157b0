"""What judging drift costs: time, bytes, memory, beside whylogs and Evidently on the same data (measure D).

    python -m benchmarks.drift.cost             # a minute; `pip install whylogs evidently` adds their rows

20 features at 2 Hz, windows of a minute, a reference of a day. Times are
medians of interleaved rounds, in seconds of a core: what else runs does not count.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agent.drift.judge import DriftJudge
from agent.drift.sketch import Window, WindowSketch
from agent.drift.storage import from_json, to_json
from benchmarks.drift.simulate import references
from benchmarks.drift.streams import Stream, StreamSpec

SPEC = StreamSpec(taus=(5.0, 20.0, 60.0))
ROUNDS = 30
CAMERAS = 16


def median_ms(work: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each piece of work, in interleaved rounds."""
    took: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            began = time.process_time()
            run()
            took[name].append(1e3 * (time.process_time() - began))
    return {name: float(np.median(times)) for name, times in took.items()}


def collected(rows: NDArray[np.float32]) -> Window:
    """A window that all frames were added to, one by one."""
    window = Window("camera", SPEC.names, "1")
    for number, row in enumerate(rows):
        window.add(row, (0, 2), at=number / 2)
    return window


def closed(rows: NDArray[np.float32], end: float) -> WindowSketch:
    window = Window("camera", SPEC.names, "1")
    window.extend(rows, at=np.arange(len(rows)) / 2)
    return window.close(end - 60.0, end)


def ours(rows: NDArray[np.float32], text: str, now: float) -> dict[str, Callable[[], object]]:
    judge, sketch = DriftJudge(from_json(text)), closed(rows, now)
    return {
        "Vedette: 120 frames taken into a window": lambda: collected(rows),
        "Vedette: those, and the window sketched": lambda: collected(rows).close(now - 60.0, now),
        "Vedette: a window judged": lambda: judge.judge(sketch, now),
        "Vedette: a window made a message": lambda: json.dumps(sketch.to_body()),
    }


def theirs(rows: NDArray[np.float32], reference: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    work: dict[str, Callable[[], object]] = {}
    if importlib.util.find_spec("whylogs"):
        import pandas
        import whylogs

        table = pandas.DataFrame(rows, columns=list(SPEC.names))
        work["whylogs: a window profiled"] = lambda: whylogs.log(table).view().serialize()
        print(f"whylogs' profile of a window: {len(whylogs.log(table).view().serialize())} bytes")
    if importlib.util.find_spec("evidently"):
        import pandas
        from evidently import Report
        from evidently.presets import DataDriftPreset

        table, before = (pandas.DataFrame(each, columns=list(SPEC.names)) for each in (rows, reference))
        work["Evidently: a window against 5,000 rows"] = lambda: Report([DataDriftPreset()]).run(
            table, before
        )
    return work


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_memory(text: str, rows: NDArray[np.float32], now: float) -> None:
    tracemalloc.start()
    judges = [DriftJudge(from_json(text)) for _ in range(CAMERAS)]
    sketch = closed(rows, now)
    for judge in judges:
        for minute in range(60):
            judge.judge(sketch, now + 60.0 * minute)
    print(f"{CAMERAS} cameras' references and judges: {tracemalloc.get_traced_memory()[0] / 2**20:.1f} MB")
    tracemalloc.stop()


def main() -> None:
    stream = Stream(SPEC, 1)
    before = stream.twin(0).day()
    began = time.process_time()
    reference = references(stream, (1,))[1]
    print(
        f"a day recorded and its reference built: {time.process_time() - began:.1f} s, peak {peak_mb():.0f} MB"
    )
    text, rows = to_json(reference), stream.run(60.0)
    body = json.dumps(closed(rows, stream.now).to_body())
    print(f"a window's sketches sent: {len(body)} bytes; reference kept: {len(text)} bytes; ", end="")
    print(f"what a judge keeps across a restart: {len(json.dumps(DriftJudge(reference).state()))} bytes")
    print_memory(text, rows, stream.now)
    quick = median_ms(ours(rows, text, stream.now))
    slow = median_ms(theirs(rows, before[:: len(before) // 5000]), rounds=5)
    for name, took in {**quick, **slow}.items():
        print(f"| {name} | {took:.2f} ms |")


if __name__ == "__main__":
    main()
