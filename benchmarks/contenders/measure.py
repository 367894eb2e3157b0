"""Times a contender in its own process; needs nothing but Python, as other interpreters run it too."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def measure(step: Callable[[], object], seconds: float, frames: int = 1, abreast: int = 1) -> None:
    """Call `step` (which does `frames` frames) for `seconds`, print one line of JSON, stay alive until told.

    `ready` is the Unix time at which the first step was done; `abreast` threads do it side by side.
    """
    step()
    ready = time.time()
    for _ in range(4):
        step()
    cpu, began = time.process_time(), time.perf_counter()

    def go_on(_: int) -> int:
        count = 0
        while time.perf_counter() - began < seconds:
            step()
            count += frames
        return count

    with ThreadPoolExecutor(abreast) as lanes:
        count = sum(lanes.map(go_on, range(abreast)))
    told = {
        "ready": ready,
        "frames": count,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
    }
    print(json.dumps(told), flush=True)
    sys.stdin.read()
