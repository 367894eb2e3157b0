"""An agent that only delivers, in a process of its own, so that it can be killed.

driver.py URL DIRECTORY ACCEPTED [--rate N] [--count N] [--size BYTES] writes "boot seq" to the pipe or file ACCEPTED
for every message accepted; it ends after COUNT, or is killed.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.delivery.identity import Identity
from agent.delivery.messages import host_draft
from agent.delivery.mqtt.session import SessionTiming
from agent.delivery.outbox.store import MessageStore
from agent.delivery.publisher import Publisher


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("directory", type=Path)
    parser.add_argument("accepted", type=Path)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=64 << 20)
    parser.add_argument("--drain", type=float, default=10.0, help="seconds to wait for delivery at the end")
    parser.add_argument("--careless", type=int, default=0, help="leave out the fsync at each commit")
    args = parser.parse_args()
    if args.careless:
        prepare = MessageStore._prepare

        def careless(store):
            prepare(store)
            store.query("PRAGMA synchronous=NORMAL")

        MessageStore._prepare = careless
    handle = os.open(args.accepted, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    identity = Identity(
        device="box", site="dock", boot="b00t0001", client_id="vedette-driver", topic_prefix="vedette"
    )

    def note(stamps):
        text = "".join(f"{stamp.boot} {stamp.seq}\n" for stamp in stamps if stamp)
        os.write(handle, text.encode())

    publisher = Publisher(
        BrokerSettings(url=args.url),
        OutboxSettings(size=args.size, commit_interval=0.02),
        identity,
        args.directory,
        timing=SessionTiming(connect=2.0, acknowledge=2.0, stop=5.0, disk=0.3, disk_retry=0.5, scale=0.05),
        on_accepted=note,
    )
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,))
    thread.start()
    made, began = 0, time.monotonic()
    while not args.count or made < args.count:
        due = int((time.monotonic() - began) * args.rate) + 1
        for _ in range(min(due, args.count or due) - made):
            now = time.time()
            publisher.publish(host_draft({"n_count": made, "cpu_ratio": 0.5}, start=now - 60, end=now))
            made += 1
        time.sleep(0.005)
    publisher.drain(args.drain)
    stop.set()
    thread.join()


if __name__ == "__main__":
    main()
