"""A busy GPU: another process takes its memory, before the agent starts and while it runs, then its time.

The agent is a real process; what it logs and how many frames/s it makes meanwhile is what is noted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.app.control_socket import call
from agent.core.errors import VedetteError
from gpu_parts.device import Gpu
from gpu_parts.note import note, run

LEFT_MB = 200
READY_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[2]
TABLE = "a busy GPU"


def main(about: dict[str, Any]) -> None:
    """Four phases, about `seconds` each."""
    seconds = about["seconds"]
    with hog("memory is taken before the start"), agent(about) as one:
        one.told("started on a full GPU", seconds)
    with agent(about) as one:
        one.told("alone", seconds)
        with hog("memory is taken while it runs"):
            one.told("all memory taken meanwhile", seconds)
        one.told("memory is free again", seconds)
        with looping(about):
            one.told("another process runs batches of 16", seconds)


class Agent:
    """A running agent and what it has logged."""

    def __init__(self, process: subprocess.Popen[str], state: Path) -> None:
        self.process, self._state = process, state
        self._lines: list[str] = []
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def told(self, phase: str, seconds: float) -> None:
        """Let it run for so long; note how it fares at the end of it."""
        self._ready.wait(READY_SECONDS)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and self.process.poll() is None:
            time.sleep(0.2)
        try:
            status = call(self._state, "status", timeout=10)
            line, provider = status["line"], status["info"]["model_provider"]
        except (VedetteError, KeyError) as error:
            line, provider = f"no answer: {error}", ""
        note(
            TABLE,
            phase=phase,
            provider=provider,
            status=line,
            exit_code=self.process.poll(),
            gpu_mb=Gpu().memory_mb(),
        )
        lines, self._lines = self._lines, []
        for said in lines[:40]:
            print(f"{phase}: {said}", flush=True)
            if any(word in said.lower() for word in ("warning", "error", "critical", "model is ready")):
                note(TABLE, phase=phase, logged=said[:300])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line.strip())
            if "camera is online" in line:
                self._ready.set()


@contextmanager
def agent(about: dict[str, Any]) -> Iterator[Agent]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "v.toml"
        config.write_text(config_text(about, folder))
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(config)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield Agent(process, Path(folder))
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def config_text(about: dict[str, Any], folder: str) -> str:
    lines = [
        f"state_directory = {json.dumps(folder)}",
        '[broker]\nurl = "mqtt://127.0.0.1:9"',
        f"[model]\npath = {json.dumps(about['model'])}\nprovider = {json.dumps(about['provider'])}",
        "[windows]\nlength = 2",
    ]
    lines += [
        f'[[cameras]]\nname = "c{n}"\nurl = {json.dumps(about["video"])}\nloop = true\npace = "fast"'
        for n in range(4)
    ]
    return "\n".join(lines)


@contextmanager
def hog(what: str) -> Iterator[None]:
    """Another process that holds the GPU's memory; where there is none it says so, and the phase runs all the same."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gpu_parts.hog", str(LEFT_MB)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    note(TABLE, phase=what, other_process=process.stdout.readline().strip())
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(15)


@contextmanager
def looping(about: dict[str, Any]) -> Iterator[None]:
    """Another process that keeps the GPU at work."""
    more = {**about, "batches": [16], "seconds": 600, "round": 0}
    process = subprocess.Popen(
        [sys.executable, "-m", "gpu_parts.bare", json.dumps(more)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    run(main)
