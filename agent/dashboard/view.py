"""Drawing a fleet in the terminal with rich: cameras, host and GPUs, alerts. Values in, a renderable out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.dashboard.fleet import Body, Camera, Device, Fleet

STATE_STYLES = {"online": "green", "starting": "cyan", "ended": "dim", "degraded": "yellow", "offline": "red"}
SEVERITY_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_BARS = "▁▂▃▄▅▆▇█"


def draw(fleet: Fleet, now: float, *, title: str = "", events: int = 8) -> RenderableType:
    """The whole screen."""
    parts: list[RenderableType] = [
        draw_device(device, now) for _, device in sorted(fleet.devices.items(), key=lambda item: item[0])
    ]
    if not parts:
        parts.append(Text("nothing heard yet ...", style="dim"))
    parts.append(draw_events(list(fleet.events)[-events:]))
    return Group(Text(title, style="bold"), *parts) if title else Group(*parts)


def draw_device(device: Device, now: float) -> RenderableType:
    """One device: its cameras as a table, its load below."""
    status = str(device.status.get("state", "unknown"))
    heading = Text.assemble(
        (f" {device.site}/{device.name} ", "bold"),
        (status, STATE_STYLES.get(status, "white")),
        (f"  {model_name(device.info)}  heard {max(0.0, now - device.heard_at):.0f} s ago ", "dim"),
    )
    body = Group(_cameras(device), _load(device))
    return Panel(body, title=heading, title_align="left", border_style="blue")


def model_name(info: Body) -> str:
    """How the model is called in the heading."""
    name, provider = info.get("model_name"), info.get("model_provider")
    return f"{name} on {provider}" if name else ""


def _cameras(device: Device) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for column, justify in (
        ("camera", "left"), ("state", "left"), ("fps", "right"), ("", "left"), ("drop", "right"),
        ("p50 ms", "right"), ("p99 ms", "right"), ("boxes", "right"), ("drift", "right"), ("sees", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for name, camera in sorted(device.cameras.items()):
        table.add_row(*_camera_row(name, camera))
    return table


def _camera_row(name: str, camera: Camera) -> Sequence[RenderableType]:
    body = camera.body
    state = str(body.get("state", "?"))
    return (
        name,
        Text(state, style=STATE_STYLES.get(state, "bold red")),
        _number(body.get("fps_inferred"), "{:.1f}"),
        Text(spark(list(camera.rates)[-12:]), style="green"),
        _number(body.get("frames_dropped"), "{:.0f}"),
        _number(body.get("latency_p50_seconds"), "{:.0f}", 1000),
        _number(body.get("latency_p99_seconds"), "{:.0f}", 1000),
        _number(body.get("detections_per_frame"), "{:.1f}"),
        drift_text(body),
        Text(", ".join(seen_classes(body)), style="dim"),
    )


def drift_text(body: Body) -> Text:
    """The drift ratio (1 is the limit), coloured, with the feature once it is over; else why there is none."""
    ratio, state = body.get("drift_ratio"), str(body.get("drift_state", "-"))
    if not isinstance(ratio, (int, float)):
        return Text("-" if state == "none" else state, style="dim")
    alarmed = ratio >= 1 or state == "drift"
    style = "bold red" if alarmed else "yellow" if ratio >= 0.7 else "green"
    feature = f" {body['drift_feature']}" if alarmed and "drift_feature" in body else ""
    return Text(f"{ratio:.2f}{feature}", style=style)


def seen_classes(body: Body, most: int = 3) -> list[str]:
    """The classes seen most, as `car 12`."""
    counts = [
        (value, key.removeprefix("detections_").replace("_", " "))
        for key, value in body.items()
        if key.startswith("detections_") and key != "detections_per_frame" and isinstance(value, int)
    ]
    return [f"{name} {count}" for count, name in sorted(counts, reverse=True)[:most]]


def spark(values: Sequence[float]) -> str:
    """Values from zero up as a line of bars."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 0.01)))] for value in values)


def _load(device: Device) -> Text:
    host = device.host
    pieces = [
        f"cpu {_percent(host.get('cpu_ratio'))}",
        f"memory {_percent(host.get('memory_used_ratio'))}",
        f"agent {_megabytes(host.get('process_memory_bytes'))}",
    ]
    if "temperature_celsius" in host:
        pieces.append(f"{host['temperature_celsius']:.0f} °C")
    if host.get("model_busy_limit_ratio", 1) < 1:
        pieces.append(f"slowed to {_percent(host['model_busy_limit_ratio'])} by heat")
    for index, gpu in sorted(device.gpus.items()):
        pieces.append(
            f"gpu{index} {_percent(gpu.get('gpu_utilization_ratio'))} "
            f"{_number(gpu.get('gpu_temperature_celsius'), '{:.0f} °C')}"
        )
    pieces.append(f"{device.messages} messages")
    return Text("  ".join(pieces) if host else "", style="dim")


def draw_events(events: Sequence[Body]) -> RenderableType:
    """The newest alerts, oldest first."""
    lines = [event_line(event) for event in events] or [Text("no alerts", style="dim")]
    return Panel(Group(*lines), title=" alerts ", title_align="left", border_style="magenta")


def event_line(event: Body) -> Text:
    """One state change of an alert as one line."""
    state = str(event.get("state"))
    style = "green" if state == "resolved" else SEVERITY_STYLES.get(str(event.get("severity")), "white")
    at = clock(event.get("changed_at"))
    return Text.assemble(
        (f"{at} ", "dim"), (f"{state:<9}", style), (str(event.get("what", "")), ""),
        (f"; expected {event.get('expected')}" if event.get("expected") and state != "resolved" else "", "dim"),
    )  # fmt: skip


def clock(at: Any) -> str:
    """Unix time or RFC 3339 as local HH:MM:SS."""
    if isinstance(at, str):
        try:
            return datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone().strftime("%H:%M:%S")
        except ValueError:
            return at
    if not isinstance(at, (int, float)):
        return "--:--:--"
    return datetime.fromtimestamp(at, tz=timezone.utc).astimezone().strftime("%H:%M:%S")


def _number(value: Any, form: str, factor: float = 1.0) -> str:
    return form.format(value * factor) if isinstance(value, (int, float)) else "-"


def _percent(value: Any) -> str:
    return _number(value, "{:.0f} %", 100)


def _megabytes(value: Any) -> str:
    return _number(value, "{:.0f} MB", 1e-6)
