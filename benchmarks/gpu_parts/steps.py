"""Run steps one after another: each a process group of its own, with a time limit, within a budget for all of them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gpu_parts.note import MARK


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command, and for how long it may run."""

    name: str
    part: str
    command: tuple[str, ...]
    seconds: float


@dataclass(kw_only=True)
class Results:
    """What the steps printed as figures, and how each of them ended."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)


def run_steps(
    steps: Sequence[Step],
    *,
    budget: float,
    environment: Mapping[str, str],
    after: Callable[[Results], None] = lambda _: None,
) -> Results:
    """Run all steps that the budget has room for; `after` is called with what is known after each."""
    results, ends_at = Results(), time.monotonic() + budget
    for step in steps:
        left = ends_at - time.monotonic()
        began = time.monotonic()
        if left < 1:
            end = "left out: the budget is spent"
        else:
            print(f"\n== {step.name} (at most {min(step.seconds, left):.0f} s)", flush=True)
            end = _run(step, min(step.seconds, left), environment, results.rows)
        seconds = round(time.monotonic() - began, 1)
        print(f"== {step.name}: {end}, {seconds} s", flush=True)
        results.ends.append({"step": step.name, "end": end, "seconds": seconds})
        after(results)
    return results


def _run(step: Step, limit: float, environment: Mapping[str, str], rows: list[dict[str, Any]]) -> str:
    ends_at = time.monotonic() + limit
    process = subprocess.Popen(
        step.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,  # so that its children go with it
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        while (left := ends_at - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                code = process.wait(max(0.1, ends_at - time.monotonic()))
                return "done" if code == 0 else f"failed (exit code {code})"
            _take(line, step, rows)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _end(process)
    return f"stopped at its limit of {limit:.0f} s"


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _take(line: str, step: Step, rows: list[dict[str, Any]]) -> None:
    if not line.startswith(MARK):
        print(f"   {line}", flush=True)
        return
    row = {"step": step.name, **json.loads(line.removeprefix(MARK))}
    rows.append(row)
    shown = {name: value for name, value in row.items() if name not in ("step", "table")}
    print(f"   {row['table']}: " + ", ".join(f"{name} {value}" for name, value in shown.items()), flush=True)


def _end(process: subprocess.Popen[str]) -> None:
    """End the step and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
