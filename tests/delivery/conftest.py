"""An outbox, drafts as the agent makes them, a clock of our own, a publisher in its thread."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.core.kll import Sketch
from agent.core.types import Alert, AlertEvent, AlertState, Draft, Severity
from agent.delivery.clock import Clock
from agent.delivery.identity import Identity
from agent.delivery.messages import alert_draft, camera_draft, host_draft, sketch_draft
from agent.delivery.mqtt.session import SessionTiming
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import unpack
from agent.delivery.publisher import Publisher
from tests.waiting import wait_until

NOW = 1_790_000_000.0
IDENTITY = Identity(
    device="box", site="dock", boot="b00t0001", client_id="vedette-test", topic_prefix="vedette"
)
QUICK = SessionTiming(connect=2.0, acknowledge=1.0, preferred=0.5, stop=1.0, disk=0.3, scale=0.02)


class FakeClock(Clock):
    def __init__(self, wall=NOW, boottime=1000.0):
        super().__init__()
        self.now, self.up, self.is_synced = wall, boottime, True

    def wall(self):
        return self.now

    def boottime(self):
        return self.up

    def synced(self):
        return self.is_synced

    def pass_seconds(self, seconds):
        self.now += seconds
        self.up += seconds


class Drafts:
    """Drafts as the agent makes them; each call is the next window."""

    def __init__(self):
        self.random = np.random.default_rng(7)
        self.at = NOW

    def sketch(self, count=600):
        sketch = Sketch()
        sketch.update(self.random.gamma(3.0, 0.02, count).astype(np.float32))
        return sketch

    def camera(self, name="front", start=None, seconds=60.0, features=20, frames=600, sketches=None):
        start = self.at if start is None else start
        sketches = (
            {"latency": self.sketch(frames), "decode": self.sketch(frames)} if sketches is None else sketches
        )
        body = {
            "state": "online",
            "state_reason": "",
            "frames_seen": frames,
            "frames_inferred": frames,
            "frames_dropped": 3,
            "frames_failed": 0,
            "fps_in": frames / seconds,
            "detections": 40,
            "detections_person": 40,
            "detections_per_frame": 40 / frames,
            "confidence_mean": 0.7,
        }
        for stem, sketch in sketches.items():
            quantiles = sketch.quantiles([0.5, 0.9, 0.99]).tolist()
            body |= {
                f"{stem}_{rank}_seconds": v for rank, v in zip(("p50", "p90", "p99"), quantiles, strict=True)
            }
            body[f"{stem}_max_seconds"] = sketch.maximum
        body |= {f"drift_feature{i}_ratio": float(self.random.random()) for i in range(features)}
        return camera_draft(name, body, sketches, start=start, end=start + seconds)

    def host(self, start=None, seconds=60.0, **body):
        start = self.at if start is None else start
        return host_draft(
            {"cpu_ratio": 0.5, "memory_used_bytes": 1e9, **body}, start=start, end=start + seconds
        )

    def feature_sketches(self, camera="front", start=None, seconds=60.0, features=20):
        start = self.at if start is None else start
        blobs = {f"feature{i}": self.sketch(120).to_bytes() for i in range(features)}
        return sketch_draft(camera, blobs, {"frames_inferred": 120}, start=start, end=start + seconds)

    def alert(self, alert_id="a1", state=AlertState.FIRING, **more):
        return alert_draft(
            Alert(
                id=alert_id,
                rule="slow",
                state=state,
                severity=Severity.WARNING,
                labels={"camera": "front"},
                what="latency p99 is 0.9 s",
                expected="at most 0.5 s",
                window="the last 60 s",
                advice="look at the load",
                first_seen=self.at,
                changed_at=self.at,
                value=0.9,
                evidence={"latency_p99_seconds": 0.9},
                event=AlertEvent.RESOLVED if state is AlertState.RESOLVED else AlertEvent.FIRED,
                **more,
            )
        )


@pytest.fixture
def drafts():
    return Drafts()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make_outbox(tmp_path):
    made = []

    def make(path="outbox.db", size=8 << 20, clock=None, identity=IDENTITY, *, careless=False):
        outbox = Outbox(tmp_path / path if path else None, size=size, identity=identity, clock=clock)
        outbox.open()
        if careless:  # where durability is not what is tested
            outbox.store.query("PRAGMA synchronous=OFF")
        made.append(outbox)
        return outbox

    yield make
    for outbox in made:
        outbox.close()


def put_all(outbox, drafts):
    """Every stamp, over as many transactions as it takes."""
    stamps, drafts = [], list(drafts)
    while drafts:
        done = outbox.put_many(drafts)
        stamps += done
        drafts = drafts[len(done) :]
    return stamps


def depth_of(outbox, lane):
    """How many messages of one priority wait, as the file says."""
    return dict(outbox.store.query("SELECT priority, depth FROM lane")).get(lane, 0)


def bodies(outbox, lane):
    outbox.release()
    found = []
    while rows := outbox.lease(lane, 500):
        found += [json.loads(unpack(row.payload)) for row in rows]
    outbox.release()
    return found


def bulk(count, family="host", size=600):
    text = os.urandom(size // 2).hex()
    return [Draft(topic=family, body={"text": text, "n": i}) for i in range(count)]


class Running:
    """A publisher in its thread."""

    def __init__(self, publisher):
        self.publisher = publisher
        self._stop = threading.Event()
        self.failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.publisher.run(self._stop)
        except BaseException as error:
            self.failure = error
            raise

    def stop(self, timeout=15.0):
        self._stop.set()
        self.publisher._inbox.wake()  # it would notice by itself within half a second
        self._thread.join(timeout)
        assert not self._thread.is_alive()
        assert self.failure is None

    def until(self, condition, timeout=10.0):
        wait_until(
            lambda: condition(self.publisher),
            timeout,
            lambda: (self.failure, self.publisher.connection, self.publisher.statistics()),
            alive=lambda: self.failure is None,
            passing=(KeyError,),  # before its first round a publisher has no figures
        )


@pytest.fixture
def publish(tmp_path):
    """Makes running publishers: `publish(url=...)`."""
    made = []

    def make(
        url,
        *,
        directory=None,
        size=8 << 20,
        timing=QUICK,
        identity=IDENTITY,
        commands=None,
        clock=None,
        **more,
    ):
        publisher = Publisher(
            BrokerSettings(url=url, **more),
            OutboxSettings(size=size, commit_interval=0.02),
            identity,
            directory or tmp_path / "state",
            timing=timing,
            commands=commands,
            clock=clock,
        )
        made.append(Running(publisher))
        return made[-1]

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def no_subscriptions(mosquitto, tmp_path):
    """A broker that lets everybody in and nobody subscribe."""
    plugin = next(iter(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")), None)
    if plugin is None:
        pytest.skip("this mosquitto has no plugin that refuses subscriptions")
    access = {
        "publishClientSend": True,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    }
    (tmp_path / "security.json").write_text(json.dumps({"defaultACLAccess": access}))
    return mosquitto(
        "allow_anonymous true", f"plugin {plugin}", f"plugin_opt_config_file {tmp_path / 'security.json'}"
    )
