"""Gathers what a report is made of from a history: about a camera or a device in a range of time, or about an alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.core.runbook_pages import runbook_page
from agent.dashboard.web.drift import heat_map_of
from agent.dashboard.web.queries import Queries, QuerySpan, Row, span
from agent.dashboard.web.report import Contents, Curve
from agent.dashboard.web.store import HOUR, Key

MOST_GPUS = 4
BEFORE_SECONDS = HOUR
AFTER_SECONDS = 900.0
"""A report about an alert shows so much of the time before it was first seen, and after it was resolved."""

Lines = Sequence[tuple[str, str]]
_Kind = tuple[str, Lines, float, str]
"""Title, (field, label) of each line, factor and unit of a curve."""
_CAMERA: Sequence[_Kind] = (
    ("Frames a second", (("fps_in", "camera"), ("fps_inferred", "model")), 1.0, ""),
    ("Capture to result", (("latency_p50_seconds", "median"), ("latency_p99_seconds", "p99")), 1000.0, " ms"),
    ("Frames", (("frames_dropped", "dropped"), ("frames_failed", "failed")), 1.0, ""),
    ("Boxes a frame", (("detections_per_frame", "boxes"),), 1.0, ""),
    ("F1, estimated without labels", (("accuracy_estimate_ratio", "estimate"),), 100.0, " %"),
    ("Drift over its limit", (("drift_ratio", "worst feature"),), 1.0, ""),
)
_HOST: Sequence[_Kind] = (
    ("Processor and memory", (("cpu_ratio", "processor"), ("memory_used_ratio", "memory")), 100.0, " %"),
    ("Temperature", (("temperature_celsius", "hottest sensor"),), 1.0, " °C"),
    ("Model", (("model_busy_ratio", "busy"), ("model_busy_limit_ratio", "may be busy")), 100.0, " %"),
    ("Power of the board", (("power_watts", "power"),), 1.0, " W"),
    ("Disk", (("disk_used_ratio", "state directory"), ("root_disk_used_ratio", "/")), 100.0, " %"),
    ("Outbox", (("outbox_messages", "messages that wait"),), 1.0, ""),
)
_GPU: Sequence[_Kind] = (
    ("use", (("gpu_utilization_ratio", "use"), ("gpu_memory_used_ratio", "memory")), 100.0, " %"),
    ("throttled", (("throttled_ratio", "share of the time"),), 100.0, " %"),
    ("temperature", (("gpu_temperature_celsius", "temperature"),), 1.0, " °C"),
    ("clock", (("gpu_clock_sm_hertz", "multiprocessors"),), 1e-6, " MHz"),
)  # fmt: skip


def report_of(queries: Queries, key: Key, start: float, end: float, *, alert: Row | None = None) -> Contents:
    """The report about a camera (`camera/front`) or a device ("") from `start` to `end`, or about its `alert`."""
    site, device, entity = key
    camera, within = entity.partition("/")[2], span(start, end, end)
    latest = queries.latest(site, device)
    place = f"Camera {camera} of {site}/{device}" if camera else f"Device {site}/{device}"
    alerts = [alert] if alert else list(_alerts(queries, key, start, end))
    return Contents(
        title=f"{place}: {alert['rule']}" if alert else place,
        start=start,
        end=end,
        words=tuple(_words(latest, camera)),
        curves=tuple(_curves(queries, key, latest, within)),
        states=queries.states(key, within),
        heat=heat_map_of(queries, key, within) if camera else None,
        marks=queries.marks(site, device, within),
        alerts=[(one, _runbook(one)) for one in alerts],
    )


def report_of_alert(queries: Queries, found: Row, now: float) -> Contents:
    """The report about an alert: its camera, else its device, from before it was seen until after it was resolved."""
    camera = found.get("labels", {}).get("camera", "")
    end = now if found["state"] == "firing" else min(now, found["changed_at"] + AFTER_SECONDS)
    start = min(found["first_seen"], end) - BEFORE_SECONDS
    key = (found["site"], found["device"], f"camera/{camera}" if camera else "")
    return report_of(queries, key, start, end, alert=found)


def alert_of(queries: Queries, number: str, site: str = "", device: str = "") -> Row:
    """The alert with an id; raises VedetteError where there is none, or several devices have one."""
    found: list[Row] = []
    for firing in (True, False):
        found += queries.alerts(firing=firing, site=site, device=device, number=number)
    if not found:
        raise VedetteError(f"there is no alert {printable(number, 100)} in this history")
    if len(found) > 1:
        several = ", ".join(f"{one['site']}/{one['device']}" for one in found[:20])
        raise VedetteError(f"several devices have an alert of this id: name one: {several}")
    return found[0]


def _alerts(queries: Queries, key: Key, start: float, end: float) -> Iterator[Row]:
    """Those of the device, or of the camera and of the device as a whole, that fired in the range."""
    site, device, camera = *key[:2], key[2].partition("/")[2]
    for firing in (True, False):
        for one in queries.alerts(firing=firing, site=site, device=device, since=0.0 if firing else start):
            if one["first_seen"] <= end and (
                not camera or one.get("labels", {}).get("camera", camera) == camera
            ):
                yield one


def _curves(queries: Queries, key: Key, latest: Mapping[str, Row], within: QuerySpan) -> Iterator[Curve]:
    site, device, entity = key
    if entity:
        yield from _drawn(queries, key, "", _CAMERA, within)
        return
    yield from _drawn(queries, (site, device, "host"), "", _HOST, within)
    for gpu in sorted(name for name in latest if name.startswith("gpu/"))[:MOST_GPUS]:
        yield from _drawn(queries, (site, device, gpu), f"GPU {gpu[4:]}: ", _GPU, within)


def _drawn(
    queries: Queries, key: Key, prefix: str, kinds: Sequence[_Kind], within: QuerySpan
) -> Iterator[Curve]:
    found = queries.curves(key, [field for _, lines, _, _ in kinds for field, _ in lines], within)
    for title, lines, factor, unit in kinds:
        drawn = {label: found["series"][field] for field, label in lines}
        yield Curve(title=prefix + title, times=found["times"], lines=drawn, factor=factor, unit=unit)


def _words(latest: Mapping[str, Row], camera: str) -> Iterator[tuple[str, str]]:
    """What is known at the end: the verdict on drift, its cause, the advice, how right the model is."""
    if not camera:
        info = latest.get("info", {})
        yield from _named(
            info, model_name="Model", model_provider="runs on", version="agent", config_sha256="config"
        )
        return
    seen, advice = latest.get(f"camera/{camera}", {}), latest.get(f"advice/{camera}", {})
    yield from _named(seen, state="State", state_reason="why", light_mode="light")
    yield from _named(
        seen, drift_state="Drift", drift_reason="why", drift_feature="stands out most", drift_since="since"
    )
    if (ratio := _number(seen, "drift_ratio")) is not None:
        yield "over its limit", f"{ratio:.2f}"
    cause, sure = seen.get("drift_cause"), _number(seen, "drift_cause_confidence")
    if cause and cause not in {"none", "unknown"}:
        yield (
            "Most likely cause",
            str(cause).replace("_", " ") + (f" ({100 * sure:.0f} % sure)" if sure is not None else ""),
        )
        if also := seen.get("drift_cause_also"):
            yield "besides it", str(also).replace("_", " ")
    yield from _named(advice, words="Advice", command="command", for_it="for it", against="against it")
    for source in (seen, latest.get(f"accuracy/{camera}", {})):
        yield from estimates(source)


def estimates(fields: Row) -> Iterator[tuple[str, str]]:
    """The shares that come with a band (`f1_ratio`, `f1_low_ratio`, `f1_high_ratio`), as name and words.

    >>> list(estimates({"f1_ratio": 0.9, "f1_low_ratio": 0.85, "f1_high_ratio": 0.95}))
    [('f1', '90 % (85 to 95 %)')]
    """
    for name in fields:
        stem = name.removesuffix("_ratio")
        value, low, high = (_number(fields, f"{stem}{part}_ratio") for part in ("", "_low", "_high"))
        if name.endswith("_ratio") and value is not None and low is not None and high is not None:
            yield stem.replace("_", " "), f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def _named(fields: Row, **labels: str) -> Iterator[tuple[str, str]]:
    for name, label in labels.items():
        if fields.get(name) not in {None, ""}:
            yield label, str(fields[name])


def _number(fields: Row, name: str) -> float | None:
    value: Any = fields.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _runbook(alert: Row) -> str:
    name = str(alert.get("runbook", "")).rpartition("/")[2].partition(".md")[0]
    return runbook_page(name) or runbook_page(str(alert.get("rule", "")))
