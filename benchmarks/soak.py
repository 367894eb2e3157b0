"""A soak: everything around delivery is killed at random for an hour, and every message is accounted for.

    python benchmarks/soak.py --for 1h [--seed 1] [--clock-steps] [--json FILE] [--keep DIRECTORY]

Three senders, each behind a TCP proxy that breaks at random, at a mosquitto that is killed, stopped and frozen:
`steady`, an agent with two drawn cameras and an RTSP camera whose server is killed, itself never killed (its
memory, threads and handles are what should stay flat); `killed`, the same with `kill -9` at random; `driver`, the
publisher alone at 20 messages a second, likewise killed. A listener with a session that outlives its
connection hears everything. The proxies let senders in only while it listens: what mosquitto acknowledges
and then loses at its own `kill -9` would not be our loss. Needs mosquitto and GStreamer's RTSP server.
`--clock-steps` sets the wall clock of the two agents forward and back at random, by seconds to days, with libfaketime
(Debian package faketime); a restarted agent goes on with the clock that it left.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "faults"))

from proxy import Proxy
from soak_books import Ear, Event, Process, Sender, Watcher, balance, given_out, tables

from agent.core.units import parse_duration
from agent.delivery.mqtt.listener import Listener

ROOT = Path(__file__).resolve().parents[1]
RTSP = ROOT / "tests" / "servers" / "rtsp.py"
DRIVER = ROOT / "tests" / "faults" / "driver.py"
CONFIG = """
state_directory = "{state}"
[device]
name = "{name}"
site = "soak"
[broker]
url = "{url}"
client_id = "vedette-{name}"
[windows]
length = "5s"
[model]
threads = 1
[[cameras]]
name = "crossing"
kind = "synthetic"
width = 320
height = 192
fps = 1
seed = 1
[[cameras]]
name = "dock"
kind = "synthetic"
layout = "warehouse"
width = 320
height = 192
fps = 1
seed = 3
[[cameras]]
name = "gate"
kind = "stream"
url = "rtsp://127.0.0.1:{rtsp}/live"
max_fps = 1
"""


def free_port() -> int:
    """Not from the ephemeral range: who tries such a port may be given it and talk to itself."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.randrange(12_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


OVER = threading.Event()
EVENTS: list[Event] = []
BEGAN = time.monotonic()


def pause(seconds: float) -> None:
    OVER.wait(seconds)


def note(what: str, how: str, seconds: float = 0.0) -> None:
    EVENTS.append((time.monotonic() - BEGAN, what, how, seconds))
    print(
        f"{time.monotonic() - BEGAN:7.0f} s  {what} {how} {f'{seconds:.0f} s' if seconds else ''}", flush=True
    )


# -- the faults -----------------------------------------------------------------------------------------------


def forever(rng: random.Random, mean: float, fault: Callable[[random.Random], None]) -> Callable[[], None]:
    """`fault` again and again, with random quiet times of `mean` seconds in between."""

    def run() -> None:
        while not OVER.wait(rng.expovariate(1 / mean) + 2.0):
            fault(rng)

    return run


def break_broker(broker: Process, listener: Listener, rng: random.Random) -> None:
    while not listener.subscribed and not OVER.is_set():
        pause(0.1)
    how = rng.choice(("killed", "killed", "stopped", "frozen", "long outage"))
    seconds = {"frozen": rng.uniform(3, 60), "long outage": rng.uniform(90, 240)}.get(
        how, rng.uniform(0.1, 20)
    )
    note("broker", how, seconds)
    if how == "frozen":
        broker.freeze(seconds, pause)
        return
    broker.end(signal.SIGKILL if how == "killed" else signal.SIGTERM)
    pause(seconds)
    broker.start()


def break_network(sender: Sender, rng: random.Random) -> None:
    proxy = sender.proxy
    how = rng.choice(("blackhole", "mute", "refuse", "slow", "halve", "reset", "reset"))
    seconds = 0.0 if how in ("halve", "reset") else rng.uniform(2, 60)
    note(f"network of {sender.name}", how, seconds)
    if how == "halve":
        proxy.halve = True
    elif how == "slow":
        proxy.delay = 0.3
        pause(seconds)
        proxy.delay = 0.0
    elif how != "reset":
        proxy.mode = how
        if how == "refuse":
            proxy.reset()
        pause(seconds)
        proxy.mode = "pass"
    if how != "slow":
        proxy.reset()


def step_clock(file: Path, name: str, rng: random.Random) -> None:
    offset = rng.choice((-1, 1)) * rng.choice((20, 900, 5400, 90_000)) if rng.random() < 0.7 else 0
    file.write_text(f"{offset:+d}\n")
    note(f"clock of {name}", f"is {offset:+d} s off" if offset else "is right")


def fake_clock(file: Path) -> dict[str, str]:
    """The environment in which a program's wall clock follows `file`; raises SystemExit without libfaketime."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise SystemExit("--clock-steps needs libfaketime (Debian package faketime)")
    file.write_text("+0\n")
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def kill_again(process: Process, name: str, longest: float, rng: random.Random) -> None:
    seconds = rng.uniform(0.1, longest)
    note(name, "kill -9", seconds)
    process.end()
    pause(seconds)
    process.start()


# -- the whole ----------------------------------------------------------------------------------------------------


@contextmanager
def stage(seconds: float, clock_steps: bool) -> Iterator[tuple[Path, Process, Process, list[Sender], Ear]]:
    """Broker, RTSP server, ear and senders, all running; everything is ended by its pid."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise SystemExit("needs mosquitto (Debian package mosquitto)")
    with ExitStack() as closing:
        at = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="vedette-soak-")))
        port, rtsp_port = free_port(), free_port()
        (at / "broker").mkdir(mode=0o777)
        (at / "conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {at}/broker/\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        )
        broker = Process([found, "-c", at / "conf"], at / "mosquitto.log")
        rtsp = Process(["/usr/bin/python3", RTSP, rtsp_port, "live"], at / "rtsp.log")
        for process in (broker, rtsp):
            process.start()
            closing.callback(process.end)
        time.sleep(1.0)
        ear = Ear(port, seconds)
        closing.callback(ear.stop)
        senders = []
        for name in ("steady", "killed", "driver"):
            proxy = Proxy(port, gate=lambda: ear.listener.subscribed)
            closing.callback(proxy.close)
            words: list[object] = [
                sys.executable,
                DRIVER,
                proxy.url,
                at / name,
                at / "accepted",
                "--rate",
                20,
            ]
            if name != "driver":
                (at / f"{name}.toml").write_text(
                    CONFIG.format(name=name, state=at / name, url=proxy.url, rtsp=rtsp_port)
                )
                words = [sys.executable, "-m", "agent", "run", "--config", at / f"{name}.toml"]
            stepped = clock_steps and name != "driver"
            environment = fake_clock(at / f"{name}.clock") if stepped else {}
            process = Process(words, at / f"{name}.log", environment)
            senders.append(Sender(name, process, proxy, at / name))
        for sender in senders:
            sender.process.start()
            closing.callback(sender.process.end)
        yield at, broker, rtsp, senders, ear


def faults(
    seed: int, broker: Process, rtsp: Process, senders: list[Sender], ear: Ear
) -> list[threading.Thread]:
    """One thread for each thing that breaks, each with its own seeded chance."""
    steady, killed, driver = senders
    plans: list[tuple[float, Callable[[random.Random], None]]] = [
        (90, lambda rng: break_broker(broker, ear.listener, rng)),
        (90, lambda rng: kill_again(rtsp, "RTSP server", 30, rng)),
        (100, lambda rng: kill_again(killed.process, "killed", 5, rng)),
        (40, lambda rng: kill_again(driver.process, "driver", 2, rng)),
        *(
            (100, lambda rng, sender=sender: break_network(sender, rng))
            for sender in (steady, killed, driver)
        ),
    ]
    for sender in senders:
        file = sender.state.with_suffix(".clock")
        if file.exists():
            plans.append((90, partial(step_clock, file, sender.name)))
    threads = []
    for number, (mean, fault) in enumerate(plans):
        run = forever(random.Random(seed * 1000 + number), mean, fault)
        threads.append(threading.Thread(target=run, daemon=True))
    return threads


def settle(broker: Process, rtsp: Process, senders: list[Sender], timeout: float = 420.0) -> None:
    """Mend everything, have the senders deliver what is left, and end them in good order."""
    for process in (broker, rtsp, *(sender.process for sender in senders)):
        if process.running is None:
            process.start()
    for sender in senders:
        sender.proxy.mode, sender.proxy.delay, sender.proxy.halve = "pass", 0.0, False
    until = time.monotonic() + timeout
    time.sleep(60)  # so that each has been up for a while
    driver = senders[-1].process
    driver.end()
    driver.words += ["--count", "20", "--drain", "300"]
    driver.start()
    if driver.running is not None:
        driver.running.wait(timeout)
    for sender in senders[:-1]:
        while given_out(sender.state)[2] > 10 and time.monotonic() < until:
            time.sleep(0.5)
        sender.process.end(signal.SIGTERM)
    time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="length", default="1h", help="how long (default 1h)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clock-steps", action="store_true", help="set the agents' clocks at random, too")
    parser.add_argument("--sample", default="60s", help="how often the processes are measured")
    parser.add_argument("--json", type=Path, help="write what was found there too")
    parser.add_argument("--keep", type=Path, help="copy logs and states there")
    args = parser.parse_args()
    seconds = parse_duration(args.length)
    with stage(seconds + 3600, args.clock_steps) as (at, broker, rtsp, senders, ear):
        watcher = Watcher(senders, BEGAN)
        threads = faults(args.seed, broker, rtsp, senders, ear)
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(parse_duration(args.sample), left))
            watcher.look()
        OVER.set()
        for thread in threads:
            thread.join(60)
        note("everything", "mended")
        settle(broker, rtsp, senders)
        noted = {
            (boot.rpartition("-")[2], int(seq))
            for line in (at / "accepted").read_text().splitlines()
            for boot, _, seq in [line.partition(" ")]
            if seq
        }
        results = {s.name: balance(s, ear, noted if s.name == "driver" else set()) for s in senders}
        if args.keep:
            shutil.copytree(at, args.keep, dirs_exist_ok=True)
    text = f"{args.length}, seed {args.seed}.\n\n{tables(results, EVENTS[:-1], watcher, ear)}"
    print(text)
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    "results": results,
                    "events": EVENTS,
                    "lives": [vars(life) for life in watcher.lives],
                    "disk": watcher.disk,
                },
                indent=1,
            )
        )
    if any(
        result["lost"] or result["same id, other content"] or result["schema errors"]
        for result in results.values()
    ):
        raise SystemExit("something was lost, altered or broke its schema")


if __name__ == "__main__":
    main()
