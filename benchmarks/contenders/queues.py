"""Ways to queue messages on their way to a broker, each at its best: our outbox, two queues of PyPI, paho's in memory."""

from __future__ import annotations

import collections
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.core.secret import Masked
from agent.core.types import Draft
from agent.delivery.identity import Identity
from agent.delivery.messages import Stamp, encode
from agent.delivery.mqtt.session import SessionTiming
from agent.delivery.outbox.queue import Outbox
from agent.delivery.publisher import Publisher

IDENTITY = Identity(device="box", site="s", boot="b00t0001", client_id="bench", topic_prefix="vedette")
STAMP = Stamp(prefix="vedette/s/box", device="box", boot="b", seq=1, at=1.8e9)
BATCH, WINDOW = 512, 20


@contextmanager
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIRECTORY")))
    try:
        yield made
    finally:
        shutil.rmtree(made)


# -- in -----------------------------------------------------------------------------------------------------


def rate(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def put_all(outbox: Outbox, drafts: list[Draft]) -> None:
    while drafts:
        drafts = drafts[len(outbox.put_many(drafts[:BATCH])) :]


def in_outbox(drafts: list[Draft]) -> float:
    with directory() as at:
        outbox = Outbox(at / "o.db", size=256 << 20, identity=IDENTITY)
        outbox.open()
        result = rate(len(drafts), lambda: put_all(outbox, drafts))
        outbox.close()
        return result


def in_persist_queue(drafts: list[Draft]) -> float:
    from persistqueue import FIFOSQLiteQueue  # its queue with acknowledgements cannot batch commits

    with directory() as at:
        queue = FIFOSQLiteQueue(str(at), auto_commit=False, multithreading=True)

        def work() -> None:
            for number, draft in enumerate(drafts, 1):
                queue.put(encode(draft, STAMP).payload)
                if number % BATCH == 0:
                    queue.task_done()
            queue.task_done()

        return rate(len(drafts), work)


def in_litequeue(drafts: list[Draft]) -> float:
    from litequeue import LiteQueue

    with directory() as at:
        queue = LiteQueue(str(at / "q.db"))

        def work() -> None:
            for first in range(0, len(drafts), BATCH):
                queue.conn.execute("BEGIN IMMEDIATE")
                for draft in drafts[first : first + BATCH]:
                    _lite_put(queue, encode(draft, STAMP).payload.decode())
                queue.conn.execute("COMMIT")

        return rate(len(drafts), work)


def _lite_put(queue: object, text: str) -> None:
    """litequeue's own put opens a transaction each; this is its insert inside one of ours, for its best figure."""
    queue.conn.execute(  # type: ignore[attr-defined]
        f"INSERT INTO {queue.table} (data, message_id, status, in_time) VALUES (?, ?, 0, ?)",  # type: ignore[attr-defined]
        (text, os.urandom(16).hex(), time.time_ns()),
    )


def in_paho(drafts: list[Draft]) -> float:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-paho")

    def work() -> None:
        for draft in drafts:
            message = encode(draft, STAMP)
            client.publish(message.topic, message.payload, qos=1)

    return rate(len(drafts), work)


# -- out ----------------------------------------------------------------------------------------------------


def out_publisher(drafts: list[Draft], port: int) -> float:
    """The whole publisher: a queue on disk, drained to the broker, each row deleted on its acknowledgement."""
    with directory() as at:
        outbox = Outbox(at / "outbox.db", size=256 << 20, identity=IDENTITY)
        outbox.open()
        put_all(outbox, drafts)
        outbox.close()
        publisher = Publisher(
            BrokerSettings(url=Masked(f"mqtt://127.0.0.1:{port}")),
            OutboxSettings(size=256 << 20),
            IDENTITY,
            at,
            timing=SessionTiming(),
        )
        stop = threading.Event()
        thread = threading.Thread(target=publisher.run, args=(stop,))
        started = time.perf_counter()
        thread.start()
        while publisher.statistics().get("delivered_total", 0) < len(drafts):
            time.sleep(0.005)
        result = len(drafts) / (time.perf_counter() - started)
        stop.set()
        thread.join()
        return result


def out_paho(drafts: list[Draft], port: int) -> float:
    """paho's queue in memory, with its own window of 20: not durable."""
    done, count = threading.Event(), collections.Counter[str]()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-paho", protocol=paho.MQTTv5)

    def published(*_: object) -> None:
        count["acked"] += 1
        if count["acked"] == len(drafts):
            done.set()

    client.on_publish = published
    messages = [encode(draft, STAMP) for draft in drafts]
    client.connect("127.0.0.1", port)
    client.loop_start()
    started = time.perf_counter()
    for message in messages:
        client.publish(message.topic, message.payload, qos=1)
    done.wait(120)
    result = len(drafts) / (time.perf_counter() - started)
    client.disconnect()
    client.loop_stop()
    return result


def out_with(
    port: int, count: int, get: Callable[[], tuple[object, bytes]], ack: Callable[[object], None]
) -> float:
    """A durable queue of PyPI in front of paho, as its documentation would have one write it."""
    slots, acked, items = threading.Semaphore(WINDOW), collections.deque[int](), {}
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-queue", protocol=paho.MQTTv5)

    def published(_client: object, _data: object, mid: int, *_: object) -> None:
        acked.append(mid)
        slots.release()

    client.on_publish = published
    client.connect("127.0.0.1", port)
    client.loop_start()
    started, sent, done = time.perf_counter(), 0, 0
    while done < count:
        if sent < count and slots.acquire(timeout=0.01):
            item, payload = get()
            items[client.publish("vedette/s/box/host", payload, qos=1).mid] = item
            sent += 1
        while acked and acked[0] in items:
            ack(items.pop(acked.popleft()))
            done += 1
    result = count / (time.perf_counter() - started)
    client.disconnect()
    client.loop_stop()
    return result


def out_persist_queue(drafts: list[Draft], port: int) -> float:
    from persistqueue import SQLiteAckQueue

    with directory() as at:
        queue = SQLiteAckQueue(str(at), auto_commit=True, multithreading=True)
        for draft in drafts:
            queue.put(encode(draft, STAMP).payload)

        def get() -> tuple[object, bytes]:
            item = queue.get(raw=True)
            return item["pqid"], item["data"]

        return out_with(port, len(drafts), get, lambda pqid: queue.ack(id=pqid))


def out_litequeue(drafts: list[Draft], port: int) -> float:
    from litequeue import LiteQueue

    with directory() as at:
        queue = LiteQueue(str(at / "q.db"))
        for draft in drafts:
            queue.put(encode(draft, STAMP).payload.decode())

        def get() -> tuple[object, bytes]:
            message = queue.pop()
            return message.message_id, message.data.encode()

        return out_with(port, len(drafts), get, queue.done)
