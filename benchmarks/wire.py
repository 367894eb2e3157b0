"""Bytes on the wire and on the disk: PUBLISH packets of an agent with four cameras, counted between it and mosquitto.

    python benchmarks/wire.py [--profiles full normal lean] [--minutes 12] [--cameras 4] [--markdown FILE] [--files] [--rest]

The agents (one for each profile, at the same time, each with a broker of its own) detect on drawn cameras with the
default windows. Counted is every PUBLISH as it passes: fixed header, topic, properties and payload. `minutes`
run from the end of the first minute on (`status`, `info` and the opening window come before and are shown apart).
`--files` counts writes by file with strace. `--rest`: an agent at rest, whose references are there: they take ten minutes, and
the count begins after a quarter of an hour. Without it the first day is measured, in which they are recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
REST_SECONDS = 15 * 60.0
REST = '[drift]\nreference_length = "10m"\n'
DAY_MINUTES = 24 * 60
CONNECT, PUBLISH = 1, 3
TOPIC_ALIAS = 0x23
PROPERTY_BYTES = {0x01: 1, 0x02: 4, TOPIC_ALIAS: 2}
"""Lengths of the properties of a PUBLISH that the agent uses, besides correlation data (0x09)."""


@dataclass(slots=True)
class Tally:
    """PUBLISH packets and their bytes, by what comes after the device's part of the topic; `aliased` named no topic."""

    aliased: int = 0
    packets: Counter[str] = field(default_factory=Counter)
    octets: Counter[str] = field(default_factory=Counter)

    def add(self, topic: str, octets: int) -> None:
        """Count one packet."""
        name = "/".join(topic.split("/")[3:])
        self.packets[name] += 1
        self.octets[name] += octets

    def since(self, before: Tally) -> Tally:
        """What was counted after `before`."""
        return Tally(
            self.aliased - before.aliased, self.packets - before.packets, self.octets - before.octets
        )

    def copy(self) -> Tally:
        """The counts of now."""
        return Tally(self.aliased, Counter(self.packets), Counter(self.octets))


class PacketCounter:
    """Follows one direction of one MQTT connection and counts its PUBLISH packets."""

    def __init__(self, tally: Tally, payloads: IO[bytes] | None) -> None:
        self._tally, self._payloads, self._waiting, self._version = tally, payloads, b"", 5
        self._aliases: dict[int, str] = {}

    def feed(self, data: bytes) -> None:
        """Process what came in."""
        self._waiting += data
        while (length := _packet_length(self._waiting)) is not None:
            packet, self._waiting = self._waiting[:length], self._waiting[length:]
            self._packet(packet)

    def _packet(self, packet: bytes) -> None:
        body = packet[1 + next(n for n in range(1, 5) if packet[n] < 0x80) :]
        if packet[0] >> 4 == CONNECT:
            self._version = body[2 + int.from_bytes(body[:2], "big")]
        elif packet[0] >> 4 == PUBLISH:
            topic = self._topic(packet[0], body)
            self._tally.add(topic, len(packet))
            if self._payloads is not None:
                self._payloads.write(b"%d %s %s\n" % (len(packet), topic.encode(), body[body.find(b"{") :]))
                self._payloads.flush()

    def _topic(self, head: int, body: bytes) -> str:
        end = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:end].decode()
        alias = self._alias(body[end + (2 if head & 0x06 else 0) :]) if self._version == 5 else None
        if alias is not None and topic:
            self._aliases[alias] = topic
        self._tally.aliased += not topic
        return topic or self._aliases[alias or 0]

    @staticmethod
    def _alias(properties: bytes) -> int | None:
        length, at = properties[0], 1  # the agent sends fewer than 128 bytes of them, replies apart
        while length < 0x80 and at <= length:
            name = properties[at]
            if name == TOPIC_ALIAS:
                return int.from_bytes(properties[at + 1 : at + 3], "big")
            at += 1 + PROPERTY_BYTES.get(name, length)
        return None


def _packet_length(data: bytes) -> int | None:
    """The length of the packet that `data` begins with; None while that is not known or not all there."""
    remaining = 0
    for n in range(1, min(len(data), 5)):
        remaining |= (data[n] & 0x7F) << 7 * (n - 1)
        if data[n] < 0x80:
            length = 1 + n + remaining
            return length if len(data) >= length else None
    return None


class Relay:
    """Passes connections on to the broker at `port`, and counts what the clients publish."""

    def __init__(self, port: int, payloads: IO[bytes] | None = None) -> None:
        self.tally, self.port, self._broker, self._payloads = Tally(), 0, port, payloads
        self._loop = asyncio.new_event_loop()
        listening = asyncio.run_coroutine_threadsafe
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = listening(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop).result()
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._broker)
        except ConnectionError:
            writer.close()
            return
        counter = PacketCounter(self.tally, self._payloads)
        await asyncio.gather(_pass(reader, back, counter), _pass(there, writer, None))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: PacketCounter | None) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            if to is not None:
                to.feed(data)
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass(slots=True)
class Run:
    """One agent, its relay, and what was counted at the end of the first minute."""

    profile: str
    relay: Relay
    agent: subprocess.Popen[bytes]
    folder: Path
    first: Tally = field(default_factory=Tally)
    last: Tally = field(default_factory=Tally)
    written_before: int = 0
    written: int = 0

    @property
    def pid(self) -> int:
        """The agent's own process (strace starts it as its child)."""
        children = Path(f"/proc/{self.agent.pid}/task/{self.agent.pid}/children").read_text().split()
        traced = (self.folder / "writes.txt").exists()
        return int(children[0]) if traced and children else self.agent.pid

    def stop(self) -> None:
        """End the agent, and wait for that."""
        if self.agent.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
            self.agent.wait()

    def written_bytes(self) -> int:
        """What the kernel counts as written to disk by it so far."""
        found = re.search(r"^write_bytes: (\d+)$", Path(f"/proc/{self.pid}/io").read_text(), re.M)
        return int(found[1]) if found else 0


def config(profile: str, port: int, folder: Path, cameras: int, more: str) -> Path:
    """The config of one agent: the defaults and `more`, with `cameras` drawn cameras."""
    layouts = ("street", "warehouse")
    text = f'state_directory = "{folder / "state"}"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\n'
    text += f'[reports]\nprofile = "{profile}"\n{more}'
    for n in range(cameras):
        text += f'[[cameras]]\nname = "cam{n + 1}"\nkind = "synthetic"\nlayout = "{layouts[n % 2]}"\n'
        text += f"seed = {n + 1}\nfps = 2\n"
    path = folder / "config.toml"
    path.write_text(text)
    return path


def start(profile: str, relay: Relay, folder: Path, cameras: int, more: str, *, files: bool) -> Run:
    """Start an agent."""
    command = [
        sys.executable,
        "-m",
        "agent",
        "run",
        "--config",
        str(config(profile, relay.port, folder, cameras, more)),
    ]
    if files:
        calls = "trace=write,writev,pwrite64,pwritev,fsync,fdatasync"
        command = [
            "strace",
            "-f",
            "--seccomp-bpf",
            "-y",
            "-e",
            calls,
            "-o",
            str(folder / "writes.txt"),
            *command,
        ]
    with (folder / "log.txt").open("wb") as log:
        return Run(profile, relay, subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT), folder)


def mosquitto(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A broker on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = folder / "mosquitto.conf"
    path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    broker = subprocess.Popen([program, "-c", str(path)], stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    return broker, port


def lines(run: Run, counted: Tally, minutes: float) -> Iterator[str]:
    """The rows of one agent."""
    total = sum(counted.octets.values())
    yield (
        f"| {run.profile} | **all** | {sum(counted.packets.values()) / minutes:.2f} | {total / minutes:,.0f} | "
        f"{total / minutes * DAY_MINUTES / 1e6:.2f} |"
    )
    families = sorted({name.partition("/")[0] for name in counted.octets})
    for family in families:
        names = [name for name in counted.octets if name.partition("/")[0] == family]
        packets, octets = (sum(of[name] for name in names) for of in (counted.packets, counted.octets))
        yield (
            f"| {run.profile} | `{family}` | {packets / minutes:.2f} | {octets / minutes:,.0f} | "
            f"{octets / minutes * DAY_MINUTES / 1e6:.2f} |"
        )


def files_written(folder: Path) -> Iterator[str]:
    """Bytes and syncs by file, from strace's lines."""
    octets: Counter[str] = Counter()
    syncs: Counter[str] = Counter()
    for line in (folder / "writes.txt").read_text(errors="replace").splitlines():
        found = re.search(r" (\w+)\(\d+<([^>]*)>.* = (\d+)$", line)
        if not found or not found[2].startswith(str(folder / "state")):
            continue
        name = re.sub(
            r"\d{4,}|\.[0-9a-z_]{6,}\.tmp|tmp\w+", "*", found[2].removeprefix(str(folder / "state"))
        )
        (syncs if "sync" in found[1] else octets)[name] += 1 if "sync" in found[1] else int(found[3])
    for name in sorted({*octets, *syncs}, key=lambda name: -octets[name]):
        yield f"| `{name}` | {octets[name]:,} | {syncs[name]} |"


def report(runs: list[Run], minutes: float, *, files: bool) -> str:
    """Everything as Markdown."""
    rows = ["| profile | topics | messages a minute | bytes a minute | MB a day |", "|---|---|---|---|---|"]
    for run in runs:
        rows += lines(run, run.last.since(run.first), minutes)
    rows += [
        "",
        "| profile | first minute, bytes | written to disk, kB a minute | MB a day |",
        "|---|---|---|---|",
    ]
    for run in runs:
        octets = (run.written - run.written_before) / minutes
        rows.append(
            f"| {run.profile} | {sum(run.first.octets.values()):,} | {octets / 1e3:,.1f} | {octets * DAY_MINUTES / 1e6:,.1f} |"
        )
    for run in runs if files else ():
        rows += [
            "",
            f"{run.profile}:",
            "",
            "| file | bytes | syncs |",
            "|---|---|---|",
            *files_written(run.folder),
        ]
    return "\n".join(rows)


def main() -> None:
    """Run the agents side by side, and print what was counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profiles", nargs="+", default=["full", "normal", "lean"])
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--files", action="store_true", help="count writes by file (needs strace)")
    parser.add_argument("--rest", action="store_true", help="count an agent whose references are recorded")
    parser.add_argument("--log", type=Path, help="copy the log of the last profile there")
    parser.add_argument("--markdown", type=Path, help="write the tables there too")
    parser.add_argument("--payloads", type=Path, help="write every message there, a line each")
    args = parser.parse_args()
    more = REST if args.rest else ""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="vedette-wire-")))
        out = closing.enter_context(args.payloads.open("wb")) if args.payloads else None
        runs = []
        for name in args.profiles:
            (folder / name).mkdir()
            broker, port = mosquitto(folder / name)
            closing.callback(broker.terminate)
            runs.append(start(name, Relay(port, out), folder / name, args.cameras, more, files=args.files))
        for run in runs:
            closing.callback(run.stop)
        time.sleep(REST_SECONDS if args.rest else START_SECONDS)
        for run in runs:
            if run.agent.poll() is not None:
                sys.exit((run.folder / "log.txt").read_text())
            run.first, run.written_before = run.relay.tally.copy(), run.written_bytes()
        time.sleep(args.minutes * 60)
        for run in runs:
            run.last, run.written = run.relay.tally.copy(), run.written_bytes()
            if run.agent.poll() is not None:
                sys.exit((run.folder / "log.txt").read_text())
            run.stop()
        if args.log:
            shutil.copy(runs[-1].folder / "log.txt", args.log)
        text = report(runs, args.minutes, files=args.files)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
