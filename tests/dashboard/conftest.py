"""Feeding a fleet and reading its screen, and payloads as no device should send them."""

import io
import json
import random

from agent.core import terminal
from agent.dashboard.view import ScreenSize, draw

FAMILIES = (
    "status",
    "info",
    "host",
    "gpu/0",
    "camera/front",
    "alert/a",
    "replay/host",
    "sketch/front",
    "nonsense",
)
ODD = [
    "", "x", "[/x]", "[red]", "[link=http://evil]x", "\x1b]52;c;cm0=\x07", "\x1b]0;t\x07", "\x9b2J", "\u202e", "a\nb\rc",
    "9" * 400, "2026-13-45T99:00:00.000Z", "0001-01-01T00:00:00+23:59", None, True, 0, -1, 2**63, 10**400, -0.0, 1e308,
    1e15, float("nan"), float("inf"), [], [[]], {}, {"a": {}}, "x" * 5000, "\ud800", "❄" * 50,
]  # fmt: skip
KEYS = [
    "state",
    "schema",
    "device",
    "boot",
    "seq",
    "time",
    "merged",
    "lost",
    "start",
    "end",
    "id",
    "severity",
    "what",
    "expected",
    "changed_at",
    "fps_inferred",
    "camera",
    "frames_dropped",
    "latency_p50_seconds",
    "latency_p99_seconds",
    "detections_car",
    "detections_per_frame",
    "drift_ratio",
    "drift_state",
    "drift_feature",
    "cpu_ratio",
    "memory_used_ratio",
    "temperature_celsius",
    "process_memory_bytes",
    "model_busy_limit_ratio",
    "gpu_utilization_ratio",
    "gpu_temperature_celsius",
    "model_name",
    "model_provider",
    "frames_sampled",
    "feature_version",
    "brightness_kll",
    "brightness_step_mean",
    "class_1_count",
    "model_sha256",
    "clock_synced",
]


def receive(fleet, topic, now=0.0, device="box", **body):
    fleet.process(f"vedette/north/{device}/{topic}", json.dumps(body).encode(), now)


def shown(fleet, now=1.0, width=120, height=40, *, raw=False):
    file = io.StringIO()
    console = terminal.console(
        file=file, width=width, force_terminal=raw, color_system="truecolor" if raw else None
    )
    console.print(draw(fleet, now, ScreenSize(width=width, height=height), title="title"))
    return file.getvalue()


def fuzzed(seed, count):
    """(topic, payload) `count` times: bodies of odd values, torn JSON, deep JSON, odd levels; the same for a seed."""
    dice = random.Random(seed)
    for _ in range(count):
        family = dice.choice(FAMILIES)
        name = dice.choice(["box", "", "[/x]", "\x1b]0;t\x07", "+", f"d{dice.randrange(10_000)}"])
        topic = dice.choice(
            [f"vedette/north/{name}/{family}", f"vedette/{name}//{family}", f"vedette/{name}", "vedette////"]
        )
        kind = dice.random()
        if kind < 0.8:
            keys = dice.sample(KEYS, dice.randrange(len(KEYS)))
            body = {key: dice.choice(ODD) for key in keys}
            body |= {"schema": dice.choice(["sketch/1", "camera/1", 1]), dice.choice(ODD[:12]): 1}
            if dice.random() < 0.5:
                body |= {
                    "id": str(dice.choice(ODD))[:50],
                    "state": dice.choice(["firing", "resolved", "[/x]"]),
                }
            payload = json.dumps(body).encode()
        elif kind < 0.9:
            payload = dice.choice(
                [b"[" * 5000, b'{"a":' * 2000, b"\xff", b"", b"{", b"null", b"[]", b'"x"', b"1" * 5000]
            )
        else:
            payload = json.dumps({"state": "online", "fps_inferred": 1}).encode()
            at = dice.randrange(len(payload))
            payload = payload[:at] + bytes([dice.randrange(256)]) + payload[at + dice.randrange(3) :]
        yield topic, payload
