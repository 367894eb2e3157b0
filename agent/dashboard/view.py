"""Draws a fleet in the terminal: firing alerts on top, then devices and cameras, fitted to its columns and lines.

Values in, a renderable out. All text of a reading is printable already; it goes into `Text`, never into markup.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.alerts.words import duration
from agent.core.counts import count
from agent.dashboard.fleet import CameraHistory, Fleet, FleetDevice, FleetEvent
from agent.dashboard.readings import CameraReading
from agent.dashboard.web.rows import COLUMNS, Cell, row_of

STATE_STYLES = {
    "online": "green",
    "starting": "cyan",
    "ended": "dim",
    "degraded": "yellow",
    "offline": "red",
    "silent": "red",
}
SEVERITY_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_SEVERITIES = ("critical", "warning", "info")
_SENTENCE = 18  # columns before an alert's sentence: time and severity
_BARS = "▁▂▃▄▅▆▇█"
WIDE = 100
"""Columns from which on the rates are drawn as a line and dropped frames are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenSize:
    """Columns and lines of the screen; without a terminal, lines without a limit."""

    width: int = 80
    height: int = 10_000


NOTHING_HEARD = (
    "no message yet: does an agent publish, is the prefix right, and may this user read it? "
    "(mosquitto grants every subscription and sends nothing to a user without rights)"
)


def draw(fleet: Fleet, now: float, room: ScreenSize, *, title: str = "") -> RenderableType:
    """The whole screen, within `room`."""
    lines: list[RenderableType] = [_line(Text(title, "bold"), room)] if title else []
    if not fleet.devices:
        return Group(*lines, Text(NOTHING_HEARD, style="dim"))
    lines += draw_alerts(fleet, room)
    if len(fleet.devices) > 1:
        lines.append(_line(_totals(fleet, now), room))
    return Group(*lines, *_devices(fleet, now, room, room.height - len(lines) - 1))


# -- alerts --------------------------------------------------------------------------------------------------------


def draw_alerts(fleet: Fleet, room: ScreenSize) -> list[Text]:
    """Firing alerts, the worst first, in a third of the lines at most; the resolved ones as one line."""
    firing = [
        FleetEvent(device=device.name, alert=alert)
        for device in fleet.devices.values()
        for alert in device.alerts.values()
        if alert.state == "firing"
    ]
    firing.sort(key=lambda event: (_rank(event.alert.severity), -(event.alert.at or 0.0)))
    most = max(2, room.height // 3 - 2)
    shown = firing if len(firing) <= most else firing[: most - 1]
    several = len(fleet.devices) > 1
    each = min(4, max(1, room.height // 3 // max(len(shown), 1)))
    lines = [line for event in shown for line in _folded_line(event_line(event, device=several), room, each)]
    if len(firing) > len(shown):
        lines.append(Text(f"and {count(len(firing) - len(shown), 'more alert')}", "dim"))
    if not firing:
        lines.append(Text("nothing fires", "green"))
    resolved = [event for event in fleet.events if event.alert.state == "resolved"]
    if resolved:
        last = resolved[-1].alert
        text = f"{len(resolved)} resolved, the last at {clock(last.at)}: {last.what}"
        lines.append(_line(Text(text, "dim"), room))
    return lines


def _folded_line(line: Text, room: ScreenSize, most: int) -> list[Text]:
    """`line` broken at its words into `most` lines at most, the later ones below where the sentence begins."""
    pieces: list[Text] = []
    rest = line
    while len(pieces) + 1 < most and cell_len(rest.plain) > room.width:
        at = rest.plain.rfind(" ", _SENTENCE + 1, room.width + 1)
        if at < 0:
            break
        pieces.append(_line(rest[:at], room))
        rest = Text(" " * _SENTENCE).append_text(rest[at + 1 :])
    return [*pieces, _line(rest, room)]


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


def event_line(event: FleetEvent, *, device: bool = False) -> Text:
    """One state change of an alert as one line; with the device's name where there are several."""
    alert = event.alert
    resolved = alert.state == "resolved"
    style = "green" if resolved else SEVERITY_STYLES.get(alert.severity, "white")
    word = "resolved" if resolved else (alert.severity or alert.state).upper()
    expected = f"; expected {alert.expected}" if alert.expected and not resolved else ""
    return Text.assemble(
        (f"{clock(alert.at)} ", "dim"), (f"{word:<9}", style), (f"{event.device}: " if device else "", "dim"),
        (alert.what, ""), (expected, "dim"),
    )  # fmt: skip


# -- devices -------------------------------------------------------------------------------------------------------


def _devices(fleet: Fleet, now: float, room: ScreenSize, left: int) -> list[RenderableType]:
    devices = [device for _, device in sorted(fleet.devices.items())]
    if sum(_height(device) for device in devices) > left:  # then those in trouble come first
        devices.sort(key=lambda device: not _troubled(device))
    parts: list[RenderableType] = []
    for number, device in enumerate(devices):
        spare = left - bool(number + 1 < len(devices) or fleet.left_out)
        if spare < min(_height(device), 5):
            parts.append(_line(_folded(devices[number:]), room))
            break
        drawn = draw_device(device, now, room, spare)
        parts += drawn
        left -= min(_height(device), spare)
    if fleet.left_out:
        text = f"{count(fleet.left_out, 'message')} of further devices left out: {len(fleet.devices)} are shown at most"
        parts.append(_line(Text(text, "yellow"), room))
    return parts


def _totals(fleet: Fleet, now: float) -> Text:
    """What the tiles of the fleet page hold."""
    rows = [facts(device, now) for device in fleet.devices.values()]
    states = Counter(str(row["state"]) for row in rows)
    words = ", ".join(f"{number} {state}" for state, number in states.most_common(4))
    cameras, well = (sum(int(row[name] or 0) for row in rows) for name in ("cameras", "cameras_well"))
    rate = sum(float(row["fps"] or 0.0) for row in rows)
    return Text(
        f"{count(len(rows), 'device')}: {words}  {well}/{cameras} cameras well  {rate:.1f} fps",
        "bold",
    )


def facts(device: FleetDevice, now: float) -> dict[str, Cell]:
    """The row of the fleet page about a device, by the names of its cells."""
    return dict(zip(COLUMNS, row_of(device, now), strict=True))


def _folded(devices: Sequence[FleetDevice]) -> Text:
    states = Counter(device.state for device in devices)
    words = ", ".join(f"{number} {state}" for state, number in states.most_common(4))
    return Text(f"and {count(len(devices), 'more device')}: {words}", "dim")


def _troubled(device: FleetDevice) -> bool:
    return bool(device.alerts) or device.state not in {"online", "starting"}


def _height(device: FleetDevice) -> int:
    return 1 + bool(device.cameras) + len(device.cameras) + bool(device.host) + bool(_notes(device))


def draw_device(device: FleetDevice, now: float, room: ScreenSize, lines: int) -> list[RenderableType]:
    """One device in so many lines: its heading, its cameras as a table, its load, and a note on unreadable messages."""
    notes = _notes(device)
    parts: list[RenderableType] = [_line(_heading(device, now, room.width), room)]
    most = lines - 2 - bool(device.host) - bool(notes)
    if device.cameras:
        parts.append(_cameras(device, room, most))
    if device.host:
        parts.append(_line(_load(device), room))
    if notes:
        parts.append(_line(Text(notes, "yellow"), room))
    return parts


def _heading(device: FleetDevice, now: float, width: int) -> Text:
    """Name and state, and what else has room, the most important first."""
    row, status = facts(device, now), device.status
    state, since = str(row["state"]), row["since"]
    heading = Text.assemble(
        (f"{device.site}/{device.name} ", "bold"), (state, STATE_STYLES.get(state, "white"))
    )
    rest = [f"updated {max(0.0, now - device.last_message_at):.0f} s ago", device.model]
    if device.cameras:
        rest.append(f"{row['cameras_well']}/{row['cameras']} cameras well")
    if row["firing"]:
        rest.append(f"{count(int(row['firing']), 'alert')} ({row['severity'] or 'no severity'})")
    if since is not None:
        rest.append(f"for {duration(max(0.0, now - float(since)))}")
    rest.append(f"version {status.version}" if status and status.version else "")
    for piece in filter(None, rest):
        if heading.cell_len + 2 + cell_len(piece) <= width:
            heading.append(f"  {piece}", "dim")
    return heading


def _notes(device: FleetDevice) -> str:
    notes = []
    if device.status and device.status.reason and device.state != "online":
        notes.append(device.status.reason)
    if device.bad:
        notes.append(f"{count(device.bad, 'message')} not understood, the last: {device.bad_reason}")
    if device.left_out:
        notes.append(
            f"{count(device.left_out, 'message')} left out: more cameras, GPUs or alerts than are kept"
        )
    return "; ".join(notes)


def _cameras(device: FleetDevice, room: ScreenSize, most: int) -> Table:
    cameras = sorted(device.cameras.items())
    if len(cameras) > most:
        cameras.sort(key=lambda item: item[1].reading.state in {"online", "ended"})
        hidden = len(cameras) - most + 1
        cameras = cameras[: most - 1]
    else:
        hidden = 0
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), width=room.width)
    columns = _columns([(name, camera.reading) for name, camera in cameras], room.width)
    for header, width, right in columns:
        table.add_column(header, width=width, justify="right" if right else "left", no_wrap=True)
    classes = columns[-1][1] if columns[-1][0] == "sees" else 0
    for name, camera in cameras:
        table.add_row(*_camera_row(name, camera, classes, wide=room.width >= WIDE))
    if hidden:
        table.add_row(Text(f"and {hidden} more", "dim"))
    return table


def _columns(cameras: Sequence[tuple[str, CameraReading]], width: int) -> list[tuple[str, int, bool]]:
    """Header, width and alignment of each column: figures have what they need, names and classes share the rest."""
    wide = width >= WIDE
    name = min(max([len(name) for name, _ in cameras] + [8]), 32 if wide else 16)
    state = min(max([len(reading.state) for _, reading in cameras] + [6]), 14)
    drift = min(max([len(drift_text(reading).plain) for _, reading in cameras] + [5]), 24 if wide else 18)
    columns = [("camera", name, False), ("state", state, False), ("fps", 5, True)]
    columns += [("", 12, False), ("drop", 6, True)] if wide else []
    columns += [("p50", 5, True), ("p99 ms", 6, True), ("boxes", 5, True), ("drift", drift, False)]
    rest = width - sum(wanted for _, wanted, _ in columns) - len(columns)
    return [*columns, ("sees", rest, False)] if rest >= 6 else columns


def _camera_row(name: str, camera: CameraHistory, classes: int, *, wide: bool) -> Sequence[RenderableType]:
    reading = camera.reading
    more = (Text(spark(list(camera.rates)[-12:]), style="green"), number(reading.dropped)) if wide else ()
    return (
        Text(name),
        Text(reading.state, style=STATE_STYLES.get(reading.state, "bold red")),
        number(reading.fps, 1),
        *more,
        number(reading.latency_p50, factor=1000),
        number(reading.latency_p99, factor=1000),
        number(reading.boxes, 1),
        drift_text(reading),
        Text(classes_text(reading, classes), style="dim"),
    )


def drift_text(reading: CameraReading) -> Text:
    """The drift ratio (1 is the limit), coloured, with its cause or feature once it is over; else why there is none."""
    ratio, state = reading.drift_ratio, reading.drift_state
    if ratio is None:
        return Text("-" if state == "none" else state, style="dim")
    alarmed = ratio >= 1 or state == "drift"
    style = "bold red" if alarmed else "yellow" if ratio >= 0.7 else "green"
    if reading.drift_cause in {"", "unknown", "none"}:
        cause = reading.drift_feature
    else:
        cause = " + ".join(filter(None, (reading.drift_cause, reading.drift_cause_also)))
    return Text(f"{ratio:.2f} {cause}".rstrip() if alarmed else f"{ratio:.2f}", style=style)


def classes_text(reading: CameraReading, width: int = 60) -> str:
    """The most detected classes, as `car 12, person 3`; only whole ones, as many as fit."""
    text = ""
    for name, often in reading.classes:
        longer = f"{text}, {name} {often}" if text else f"{name} {often}"
        if cell_len(longer) > width:
            break
        text = longer
    return text


def spark(values: Sequence[float]) -> str:
    """Values from zero up as a line of bars."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 0.01)))] for value in values)


def _load(device: FleetDevice) -> Text:
    host = device.host
    assert host is not None  # drawn only where there is one
    pieces = [f"cpu {_percent(host.cpu)}", f"memory {_percent(host.memory)}"]
    if host.agent_bytes is not None:
        pieces.append(f"agent {number(host.agent_bytes, factor=1e-6)} MB")
    if host.temperature is not None:
        pieces.append(f"{host.temperature:.0f} °C")
    if host.busy_limit is not None and host.busy_limit < 1:
        pieces.append(f"slowed to {_percent(host.busy_limit)} by heat")
    for index, gpu in sorted(device.gpus.items()):
        degrees = "" if gpu.temperature is None else f" {gpu.temperature:.0f} °C"
        pieces.append(f"gpu{index} {_percent(gpu.utilization)}{degrees}")
    if host.outbox is not None:
        pieces.append(f"outbox {number(host.outbox)}")
    pieces.append(count(device.messages, "message"))
    return Text("  ".join(pieces), style="dim")


# -- pieces --------------------------------------------------------------------------------------------------------


def clock(at: float | None) -> str:
    """Unix time as local HH:MM:SS."""
    if at is None:
        return "--:--:--"
    try:
        return datetime.fromtimestamp(at, tz=timezone.utc).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):  # the last hours of the year 9999, in another time zone
        return "--:--:--"


def number(value: float | None, places: int = 0, factor: float = 1.0) -> str:
    """A number that fits its column: large ones in thousands or millions."""
    if value is None:
        return "-"
    value *= factor
    if abs(value) < 99_999:
        return f"{value:.{places}f}" if abs(value) < 999 else f"{value:.0f}"
    power = min(int(math.log10(abs(value)) // 3), 5)
    return f"{value / 1000**power:.0f}{' kMGTP'[power]}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{number(value, factor=100)} %"


def _line(text: Text, room: ScreenSize) -> Text:
    text.truncate(room.width, overflow="ellipsis")
    return text
