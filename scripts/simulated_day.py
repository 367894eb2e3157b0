"""Records the day that docs/notebooks/a-day.ipynb reads: a run of the agent whose steady time passes 60 times as fast.

    python scripts/simulated_day.py --out docs/notebooks/day          # 48 minutes: a day as the reference, then the day

Everything is the agent's own: frames drawn by the synthetic camera, the demo's model, latency as the machine had it, drift,
alerts, messages through a broker, `vedette export`. Only the calendar is simulated: a window of a minute closes after a
second, so the reference knows every hour and rules wait their minutes, and a camera of 8 frames a second is seen as one of 8
frames a minute. A frame still takes the time that it takes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as mqtt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agent.__main__ import main as vedette
from agent.core import clock
from agent.demo.broker import DemoBroker
from agent.pipeline import analyst

FASTER = 60
BEGIN = 1_795_478_400.0  # 2026-11-24 00:00 UTC, a Tuesday; the day that is kept is the Wednesday
DAY_SECONDS = 86_400 / FASTER
CONFIG = """
state_directory = "{state}"
[device]
name = "box-1"
site = "north"
[broker]
url = "{broker}"
[drift]
reference_length = "1d"
feature_fps = 10
[prometheus]
listen = ""
[[cameras]]
name = "avenue"
kind = "synthetic"
layout = "street"
fps = 8
start_hour = 0
day_length = "{day}s"
drift = ["fog@{fog}:0.6", "frozen@{frozen}", "colour_cast@{lamp}:0.4"]
"""


def spell(begin: float, end: float) -> str:
    """From one hour of the second day to another, in seconds since the start."""
    return "-".join(f"{DAY_SECONDS * (1 + hour / 24):.0f}" for hour in (begin, end))


def accelerate() -> None:
    """Have the calendar, and all that is measured in minutes, pass faster; what a frame takes is measured as before."""
    began = time.monotonic()

    def passed() -> float:
        return FASTER * (time.monotonic() - began)

    clock.wall = lambda: BEGIN + passed()
    clock.shared = clock.SteadyClock(wall=clock.wall, boottime=passed, synced=lambda: True, boot="simulated")
    analyst.clock = SimpleNamespace(
        monotonic=passed, now=clock.now, unix_now=clock.unix_now
    )  # closes windows


def record(work: Path, out: Path, seconds: float) -> int:
    """Run the agent for `seconds`, and export its last day."""
    accelerate()
    with DemoBroker() as broker:
        happens = {"fog": spell(9, 11.5), "frozen": spell(14, 14.75), "lamp": spell(18, 20)}
        config = work / "config.toml"
        config.write_text(
            CONFIG.format(state=work / "state", broker=broker.url, day=round(DAY_SECONDS), **happens)
        )
        with listening(broker.port) as sketches:
            code = vedette(["run", "--config", str(config), "--seconds", f"{seconds}"])
    state = ["--state", str(work / "state")]
    code = code or vedette(["export", *state, "--out", str(out), "--since", "1d", "--to", "parquet"])
    (out / "sketches.jsonl").write_bytes(b"\n".join([*sketches[-24:], b""]))  # one an hour
    return code


@contextmanager
def listening(port: int) -> Iterator[list[bytes]]:
    """The sketch messages that a broker is sent, as they come."""
    found: list[bytes] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: found.append(message.payload)
    client.connect("127.0.0.1", port)
    client.subscribe("vedette/+/+/sketch/#", qos=1)
    client.loop_start()
    try:
        yield found
    finally:
        client.disconnect()
        client.loop_stop()


def main() -> int:
    """Record, in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--seconds", type=float, default=2 * DAY_SECONDS, help="for a trial: fewer")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep state and config of the run there")
    args = parser.parse_args()
    work = args.keep or Path(tempfile.mkdtemp())
    work.mkdir(exist_ok=True)
    try:
        return record(work, args.out, args.seconds)
    finally:
        if not args.keep:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
