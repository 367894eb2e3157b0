"""The values that flow through the agent: plain, frozen, with shapes and units.

Times are seconds. `now`, `at`, `since`, `start` and `end` are steady time (`agent/core/clock.py`), which is never set;
what is published, stored for people or shown is labelled with Unix time (UTC): `captured_at`, the times of an Alert and
of a Draft's body. `monotonic` is the monotonic clock and means something only within one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.scope import WHOLE, Scope

Scalar = float | int | str | bool | None
Labels = Mapping[str, str]
Image = NDArray[np.uint8]
"""(H, W, 3) BGR, or (H, W) grey where it says so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One image of one camera, as it was delivered.

    `image` is (H, W, 3) uint8 BGR, read-only. `index` counts from 0 since the camera was last opened.
    `monotonic_ns` is stamped after the blocking read returned. `usable` is False while the camera's content
    is known to be faulty (frozen, black, ...): such frames are detected on, but stay out of drift windows.
    `media_seconds` is the source's own time stamp, where it has one; it grows over a file's loops. `scope` says
    what of it counts.
    """

    camera: str
    index: int
    image: Image
    captured_at: float
    monotonic_ns: int
    decode_seconds: float = 0.0
    usable: bool = True
    media_seconds: float | None = None
    scope: Scope = WHOLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What the model saw in one frame, best score first.

    boxes (n, 4) float32 xyxy in source pixels, scores (n,) float32 in 0..1, class_ids (n,) int64;
    `embedding` (d,) float32 where the model has one. `threshold` is the confidence that boxes had to reach,
    `candidates` the number of boxes above it before non-maximum suppression. `model` is the sha256 of the model's file.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    threshold: float
    candidates: int
    embedding: NDArray[np.float32] | None = None
    model: str = ""

    def __len__(self) -> int:
        return int(self.scores.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSeconds:
    """How long one frame took in each stage, in seconds; `total` is capture to result.

    Preprocess, inference and postprocess of a batch are the batch's own times: that is how long each of its
    frames waited for them.
    """

    decode: float
    wait: float
    preprocess: float
    inference: float
    postprocess: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameResult:
    """A frame with what the model made of it; `batch` is how many frames shared the model run."""

    frame: Frame
    detections: Detections
    stages: StageSeconds
    batch: int


class CameraState(str, Enum):
    """What a camera is doing, as published."""

    STARTING = "starting"
    ONLINE = "online"
    DOWN = "down"
    ENDED = "ended"
    FROZEN = "frozen"
    BLACK = "black"
    COVERED = "covered"
    BLURRED = "blurred"
    OVEREXPOSED = "overexposed"
    MOVED = "moved"
    FOGGED = "fogged"
    OBSTRUCTED = "obstructed"
    RESIZED = "resized"
    SLOW = "slow"
    BAD_TIMESTAMPS = "bad_timestamps"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatus:
    """State of a camera since `since` (steady time); `reason` is one line for people, `failure` a failure kind.

    `light_mode` is `day`, `night` or `infrared`, "" where that is not known.
    """

    camera: str
    state: CameraState
    since: float
    reason: str = ""
    failure: str = ""
    light_mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A named number with labels: the one shape that telemetry, summaries, verdicts and states become for rules.

    `metric` is `<entity kind>.<field>` exactly as published: field `latency_p99_seconds` of topic
    `camera/front` is metric `camera.latency_p99_seconds` with labels {"camera": "front"}. States are
    observed as 0/1 numbers (`camera.frozen`). `text` says in words what was seen (a state's reason, a
    verdict), `evidence` carries further numbers, `advice` what may be done about this one; they end up in the
    alert. `headline` sums the text up: an alert that fires is published anew where it changes. `ended` says of what was
    alarming until lately what it was, for the alert's end. `judged` is False where rules must
    pass it over: it is of a window shorter than the others, whose counts would look small.
    """

    metric: str
    value: float
    at: float
    labels: Labels = field(default_factory=dict)
    text: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    headline: str = ""
    ended: str = ""
    judged: bool = True


class Severity(str, Enum):
    """How bad an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(str, Enum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class AlertEvent(str, Enum):
    """Why an alert is published."""

    FIRED = "fired"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    UNDONE = "undone"
    REMINDER = "reminder"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One state change of one rule on one target, whole (never a delta).

    `id` is stable for one occurrence (from pending to resolved). `what` says what happened, `expected` what
    was expected, `window` the time frame judged, `advice` what to do next; `evidence` carries the numbers.
    `event` says why it is published now; `controls` who acknowledged or snoozed it, when and why; `runbook` is a
    page to read. Its times are Unix time: it is labelled when it is made.
    """

    id: str
    rule: str
    state: AlertState
    severity: Severity
    labels: Labels
    what: str
    expected: str
    window: str
    advice: str
    first_seen: float
    changed_at: float
    value: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    event: AlertEvent = AlertEvent.FIRED
    controls: Mapping[str, Any] = field(default_factory=dict)
    runbook: str = ""


class Priority(IntEnum):
    """Who goes first on the wire, and last when the outbox is full."""

    SKETCH = 0
    SUMMARY = 1
    STATUS = 2
    ALERT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be published, before it is stamped and encoded.

    `topic` is relative to the device's prefix (`camera/front`); its first segment is the topic family.
    `body` is one flat JSON object (alerts may nest `evidence`). `durable` drafts go through the outbox; the
    others (status, info) are sent as they are now or not at all. `sketches` (serialised KLL sketches, by the
    stem of the quantile fields they stand for) are never sent: they let windows be merged exactly. So do `held`
    fields: those of the window that this message leaves out, since little has changed (`agent.delivery.thinning`).
    """

    topic: str
    body: Mapping[str, Any]
    priority: Priority = Priority.SUMMARY
    retain: bool = False
    durable: bool = True
    expiry_seconds: int | None = None
    sketches: Mapping[str, bytes] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The first segment of the topic: sequence numbers count within it."""
        return self.topic.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A draft stamped and encoded: full topic and payload bytes, as it goes to the broker."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    priority: Priority
    seq: int
    expiry_seconds: int | None = None
