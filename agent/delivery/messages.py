"""What goes over the wire: values become drafts, a draft and a stamp become a message. Pure.

A payload is one flat JSON object: the draft's body plus `schema`, `device`, `boot`, `seq`, `time`,
`clock_synced` and, where messages of the family were dropped since the last one, `lost`. The id of a message,
by which a subscriber drops duplicates, is (`device`, `boot`, `seq`) within its family. `clock_corrected_seconds`
stands where all times were corrected, since the clock was synchronised between the acceptance and the first sending.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent.core.errors import PermanentDelivery
from agent.core.kll import Sketch
from agent.core.types import Alert, AlertState, Draft, Message, Priority

SCHEMA_VERSION = 1
FAMILIES = ("status", "info", "host", "gpu", "camera", "sketch", "accuracy", "advice", "alert", "reply")
PAYLOAD_LIMIT = 64 * 1024
SIGNIFICANT_DIGITS = 7  # what float32 holds; the rest would only be bytes

# Fields that hold a moment: given as Unix seconds, sent as RFC 3339.
_MOMENTS = frozenset({"start", "end", "since", "first_seen", "at", "until"})
_MOMENT_ENDS = ("_at", "_since")
_TOPIC = re.compile(r"[^/+#\s\x00]+(/[^/+#\s\x00]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Who sends a message, and as which one.

    `prefix` is the device's own part of the topic (`vedette/<site>/<device>`). `seq` counts within the topic
    family, on and on over restarts; `boot` names the boot and the queue it was accepted in. `at` is Unix time.
    `lost` is how many messages of the family were dropped since the last one.
    """

    prefix: str
    device: str
    boot: str
    seq: int
    at: float
    clock_synced: bool = True
    lost: int = 0


def rfc3339(at: float) -> str:
    """Unix time as RFC 3339 in UTC with milliseconds.

    >>> rfc3339(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    moment = datetime.fromtimestamp(round(at, 3), tz=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def unix_time(text: str) -> float:
    """The inverse of `rfc3339`; ValueError where `text` is no such time.

    >>> unix_time('1970-01-01T00:00:00.250Z')
    0.25
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def encode(draft: Draft, stamp: Stamp) -> Message:
    """The message that goes to the broker; a number that is none (NaN, infinity) becomes null.

    Raises PermanentDelivery for a payload over 64 kB, for what JSON cannot carry and for a topic that MQTT
    forbids.
    """
    if not is_topic(draft.topic):
        raise PermanentDelivery(f"topic {draft.topic!r}: empty levels, spaces, '+' and '#' are not allowed")
    body: dict[str, Any] = {
        "schema": f"{draft.family}/{SCHEMA_VERSION}",
        "device": stamp.device,
        "boot": stamp.boot,
        "seq": stamp.seq,
        "time": rfc3339(stamp.at),
        "clock_synced": stamp.clock_synced,
    }
    if stamp.lost:
        body["lost"] = stamp.lost
    try:
        body |= plain(draft.body)
    except (TypeError, ValueError, RecursionError) as error:
        raise PermanentDelivery(f"message for {draft.topic}: {error}") from None
    return Message(
        topic=f"{stamp.prefix}/{draft.topic}",
        payload=to_json(body, draft.topic),
        qos=1,
        retain=draft.retain,
        priority=draft.priority,
        seq=stamp.seq,
        expiry_seconds=draft.expiry_seconds,
    )


def is_topic(text: str) -> bool:
    """Whether `text` is one that can be published to: no wildcards, empty levels, spaces or control characters."""
    return (
        bool(_TOPIC.fullmatch(text)) and text.isprintable() and len(text.encode("utf-8", "replace")) < 65536
    )


def to_json(body: Mapping[str, Any], topic: str) -> bytes:
    """`body` as compact JSON; PermanentDelivery where it cannot be, or is over the limit."""
    try:
        payload = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PermanentDelivery(f"message for {topic}: {error}") from None
    if len(payload) > PAYLOAD_LIMIT:
        raise PermanentDelivery(
            f"message for {topic}: {len(payload)} bytes, over the limit of {PAYLOAD_LIMIT}"
        )
    return payload


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` as JSON has it; raises TypeError, ValueError or RecursionError."""
    return {name: _plain(name, value) for name, value in body.items()}


def _plain(name: str, value: Any) -> Any:
    """`value` as JSON has it: floats short and finite, moments as text, numpy's scalars as Python's."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return _moment(value) if _is_moment(name) else short(value)
    if value is None or isinstance(value, (str, bool, int)):
        return _moment(value) if type(value) is int and _is_moment(name) else value
    if isinstance(value, Mapping):
        return {str(key): _plain(str(key), entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain("", entry) for entry in value]
    if hasattr(value, "item"):  # a numpy scalar
        return _plain(name, value.item())
    return value


def _moment(at: float) -> str | None:
    """None for what no calendar has."""
    try:
        return rfc3339(at)
    except (OverflowError, ValueError, OSError):
        return None


def relabelled(body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """A payload's object with every moment in it later by `seconds`."""
    return {name: _later(name, value, seconds) for name, value in body.items()}


def _later(name: str, value: Any, seconds: float) -> Any:
    if isinstance(value, Mapping):
        return relabelled(value, seconds)
    if isinstance(value, str) and (name == "time" or _is_moment(name)):
        try:
            return _moment(unix_time(value) + seconds)
        except ValueError:
            return value  # no moment, whatever its name says
    return value


def _is_moment(name: str) -> bool:
    return name in _MOMENTS or name.endswith(_MOMENT_ENDS)


def short(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """`value` to so many significant digits, whole numbers as int: fewer bytes on disk and wire."""
    shorter = float(f"{value:.{digits}g}")
    return int(shorter) if shorter.is_integer() and abs(shorter) < 2**53 else shorter


# -- values to drafts -----------------------------------------------------------------------------------


def alert_draft(alert: Alert) -> Draft:
    """`alert/<id>`: retained until it is resolved."""
    body = {
        "id": alert.id,
        "rule": alert.rule,
        "state": alert.state.value,
        "event": alert.event.value,
        "severity": alert.severity.value,
        **{f"label_{name}": value for name, value in sorted(alert.labels.items())},
        "what": alert.what,
        "expected": alert.expected,
        "window": alert.window,
        "advice": alert.advice,
        "runbook": alert.runbook,
        "value": alert.value,
        "first_seen": alert.first_seen,
        "changed_at": alert.changed_at,
        "evidence": dict(alert.evidence),
        "controls": dict(alert.controls),
    }
    return Draft(
        topic=f"alert/{alert.id}",
        body=body,
        priority=Priority.ALERT,
        retain=alert.state is not AlertState.RESOLVED,
    )


CONNECTION_LOST = "connection lost"
"""Reason of a last will. Its `since` is when the connection began: the broker publishes it as it was left there."""


def status_draft(state: str, *, since: float, version: str, reason: str = "", **more: Any) -> Draft:
    """`status`: `online`, `degraded` or `offline` since a moment. Retained; sent again on every connect."""
    body = {"state": state, "since": since, "version": version, "reason": reason, **more}
    return Draft(topic="status", body=body, priority=Priority.STATUS, retain=True, durable=False)


def info_draft(body: Mapping[str, Any]) -> Draft:
    """`info`: what the device is (hardware, models, cameras, config hash). Retained, sent on every connect."""
    return Draft(topic="info", body=body, priority=Priority.STATUS, retain=True, durable=False)


def host_draft(body: Mapping[str, Any], *, start: float, end: float) -> Draft:
    """`host`: the box in one window."""
    return Draft(topic="host", body={"start": start, "end": end, **body})


def gpu_draft(index: int, body: Mapping[str, Any], *, start: float, end: float) -> Draft:
    """`gpu/<index>`: one GPU in one window."""
    return Draft(topic=f"gpu/{index}", body={"start": start, "end": end, **body})


def camera_draft(
    camera: str, body: Mapping[str, Any], sketches: Mapping[str, Sketch], *, start: float, end: float
) -> Draft:
    """`camera/<name>`: one camera in one window.

    `sketches` are those that the quantile fields came from, by stem: `latency` for `latency_p99_seconds`.
    """
    return Draft(
        topic=f"camera/{camera}",
        body={**body, "start": start, "end": end},
        sketches={stem: sketch.to_bytes() for stem, sketch in sketches.items() if sketch.count},
    )


def sketch_draft(
    camera: str, sketches: Mapping[str, bytes], body: Mapping[str, Any], *, start: float, end: float
) -> Draft:
    """`sketch/<camera>`: the window's feature sketches, each as `<feature>_kll`, base64 of DataSketches' bytes.

    `body` holds what goes with them: counts (`frames_inferred`), the version of the features, the model.
    """
    blobs = {f"{name}_kll": base64.b64encode(blob).decode() for name, blob in sketches.items()}
    return Draft(
        topic=f"sketch/{camera}", body={**body, "start": start, "end": end, **blobs}, priority=Priority.SKETCH
    )


def accuracy_draft(camera: str, body: Mapping[str, Any]) -> Draft:
    """`accuracy/<camera>`, `accuracy` for all cameras together (""): how right the model is, by labels. Retained."""
    named = {"camera": camera} if camera else {}
    topic = f"accuracy/{camera}" if camera else "accuracy"
    return Draft(topic=topic, body={**named, **body}, priority=Priority.STATUS, retain=True)


def advice_draft(camera: str, body: Mapping[str, Any]) -> Draft:
    """`advice/<camera>`: what to do about its drift. Retained; sent again on every connect."""
    return Draft(
        topic=f"advice/{camera}",
        body={"camera": camera, **body},
        priority=Priority.STATUS,
        retain=True,
        durable=False,
    )


def of_camera(topic: str) -> str:
    """The camera of a retained topic that says something of one (`advice/front`), "" of any other.

    >>> of_camera("advice/front"), of_camera("accuracy/front"), of_camera("accuracy"), of_camera("camera/front")
    ('front', 'front', '', '')
    """
    family, _, camera = topic.partition("/")
    return camera if family in {"accuracy", "advice"} else ""


def reply_draft(command_id: str, body: Mapping[str, Any]) -> Draft:
    """`reply/<id>`: the answer to a command that named no topic for it."""
    return Draft(topic=f"reply/{command_id}", body=body, priority=Priority.STATUS, durable=False)


def clears_retained(family: str, *, retain: bool) -> bool:
    """Whether the retained message on this topic ends with this one: an alert that was resolved."""
    return family == "alert" and not retain
