"""`vedette run` as a contender: a real process, a real broker, measured by what it publishes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from agent.config.delivery_settings import BrokerSettings
from agent.core.secret import Masked
from agent.dashboard.subscriber import Subscriber
from agent.delivery.messages import unix_time
from agent.demo.broker import DemoBroker

ROOT = Path(__file__).resolve().parents[2]
WINDOW_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """How the agent is to run; `max_fps` 0: files as fast as the model goes, else live at that rate."""

    model: str
    video: str
    seconds: float
    cameras: int = 1
    monitoring: bool = True
    max_fps: float = 0.0
    options: tuple[str, ...] = ()  # further lines of [model]


@dataclass(kw_only=True)
class Told:
    """What came of it: totals over all cameras between the end of the first window and that of the last."""

    frames: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    ready: float = 0.0
    peak_mb: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)


def run_agent(run: Run) -> Told:
    """Run the agent for at least `run.seconds` after its first window."""
    with (
        DemoBroker() as broker,
        Subscriber(BrokerSettings(url=Masked(broker.url))) as subscriber,
        started(run, broker.url) as (agent, told),
    ):
        gather(subscriber, agent, run, told)
        told.peak_mb = peak_mb(agent.pid)
        return told


@contextmanager
def started(run: Run, url: str) -> Iterator[tuple[psutil.Popen, Told]]:
    told = Told()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "v.toml"
        config.write_text(config_text(run, url, folder))
        agent = psutil.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(config)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=note_ready, args=(agent, told), daemon=True).start()
        try:
            yield agent, told
        finally:
            agent.terminate()
            agent.wait(20)


def note_ready(agent: psutil.Popen, told: Told) -> None:
    """When the first camera was online: frames flow through the model from then on."""
    for line in agent.stderr:
        if "camera is online" in line and not told.ready:
            told.ready = time.time()


def gather(subscriber: Subscriber, agent: psutil.Popen, run: Run, told: Told) -> None:
    """Add up the windows after the first one in which every camera's frames went through the model."""
    windows: dict[str, list[dict[str, Any]]] = {}
    cpu: dict[str, float] = {}
    while True:
        message = subscriber.take(timeout=60)
        if message is None:
            raise RuntimeError(f"the agent publishes nothing (exit code {agent.poll()})")
        topic, payload = message
        if "/camera/" not in topic:
            continue
        body = json.loads(payload)
        at = unix_time(body["end"])  # each camera's window ends some milliseconds after another's
        end = next((one for one in windows if abs(unix_time(one) - at) < WINDOW_SECONDS / 2), body["end"])
        cpu.setdefault(end, sum(agent.cpu_times()[:2]))
        windows.setdefault(end, []).append(body)
        whole = [end for end in windows if len(windows[end]) == run.cameras and inferred(windows[end])]
        if whole and unix_time(whole[-1]) - unix_time(whole[0]) >= run.seconds:
            break
    told.bodies = [body for end in whole[1:] for body in windows[end]]
    told.frames = sum(body["frames_inferred"] for body in told.bodies)
    told.seconds = unix_time(whole[-1]) - unix_time(whole[0])
    told.cpu = cpu[whole[-1]] - cpu[whole[0]]


def inferred(bodies: list[dict[str, Any]]) -> bool:
    return all(body["frames_inferred"] for body in bodies)


def config_text(run: Run, url: str, folder: str) -> str:
    pace = f'pace = "real"\nmax_fps = {run.max_fps}' if run.max_fps else 'pace = "fast"'
    telemetry = "" if run.monitoring else "interval = 60\ngpu = false\ntemperatures = false"
    lines = [
        f'state_directory = "{folder}"',
        f'[broker]\nurl = "{url}"',
        "[outbox]\ncommit_interval = 0.05",  # summaries come as they are made, so that CPU time can be read then
        f'[model]\npath = "{run.model}"',
        *run.options,
        f"[windows]\nlength = {WINDOW_SECONDS}",
        f"[drift]\nenabled = {str(run.monitoring).lower()}",
        f"[telemetry]\n{telemetry}",
    ]
    lines += [
        f'[[cameras]]\nname = "c{index}"\nurl = "{run.video}"\nloop = true\n{pace}'
        for index in range(run.cameras)
    ]
    return "\n".join(lines)


def peak_mb(pid: int) -> float:
    """Peak resident set of a process and of the children it has just now, in MB."""
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    text = "".join(Path(f"/proc/{each}/status").read_text() for each in pids)
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) / 1024
