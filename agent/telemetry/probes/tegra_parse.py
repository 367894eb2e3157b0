"""What a Jetson's files mean: pure functions from their text to published values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.telemetry import Values
from agent.telemetry.probes.host import COLDEST, HOTTEST, field_name
from agent.telemetry.window import join_reasons

TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails that carry everything else; a board without one (AGX Orin, AGX Xavier) is the sum of its rails."""

OVER_CURRENT = {
    "oc1_event_cnt": "under_voltage",
    "oc2_event_cnt": "over_current_average",
    "oc3_event_cnt": "over_current",
}
"""Jetson Linux Developer Guide, "Over-Current Throttling": what each counter counts."""

JETPACKS = {
    "34.1": "5.0",
    "35.1": "5.0.2",
    "35.2": "5.1",
    "35.3": "5.1.1",
    "35.4": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "36.2": "6.0",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "38.2": "7.0",
    "38.4": "7.1",
}
"""JetPack of an L4T release, by release and, where it differs, by revision."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One rail of a power monitor."""

    label: str
    watts: float


def parse_integer(text: str) -> int | None:
    """The integer a sysfs file says; None for an empty, unreadable or odd one."""
    try:
        return int(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def zone_temperatures(zones: Iterable[tuple[str, str]]) -> dict[str, float]:
    """(type, millidegrees) of thermal zones as degrees Celsius by field name (`cpu` of `CPU-therm`).

    Left out: zones that are offline (-256 °C, or unreadable as of a powered-down part) and the PMIC's, which
    is 100 °C for ever.
    """
    found: dict[str, float] = {}
    for kind, text in zones:
        millidegrees = parse_integer(text)
        if millidegrees is None or not COLDEST < millidegrees / 1000 < HOTTEST or "pmic" in kind.lower():
            continue
        name = field_name(re.sub(r"[-_](therm|thermal)$", "", kind))
        found[name] = max(found.get(name, COLDEST), millidegrees / 1000)
    return found


def power_values(channels: Iterable[Channel]) -> Values:
    """`power_<rail>_watts` of each rail that is connected, and `power_watts` of the whole module."""
    rails = {channel.label: channel.watts for channel in channels if channel.label.upper() != "NC"}
    if not rails:
        return {}
    values: Values = {f"power_{field_name(label)}_watts": watts for label, watts in rails.items()}
    total = next((rails[name] for name in TOTALS if name in rails), None)
    values["power_watts"] = sum(rails.values()) if total is None else total
    return values


def throttle_values(
    events: Mapping[str, int], before: Mapping[str, int], cooling: Mapping[str, int | None]
) -> Values:
    """Whether and why the board slows down: over-current events since `before`, cooling at work."""
    reasons = {
        OVER_CURRENT.get(name, name) for name, count in events.items() if count > before.get(name, count)
    }
    reasons |= {f"thermal_{field_name(kind.split('-')[0])}" for kind, state in cooling.items() if state}
    values: Values = {"throttled": int(bool(reasons)), "throttle_reasons": join_reasons(reasons)}
    if events:
        values["over_current_events_total"] = sum(events.values())
    return values


def parse_power_mode(status: str, config: str) -> str:
    """The name of nvpmodel's mode: `pmode:0002` looked up in /etc/nvpmodel.conf; "" where it is unknown."""
    mode = re.search(r"pmode:(\d+)", status)
    if not mode:
        return ""
    number = int(mode[1])
    for found in re.finditer(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", config):
        if int(found[1]) == number:
            return str(found[2])
    return str(number)


def parse_l4t(release: str) -> tuple[str, str]:
    """(L4T, JetPack) of /etc/nv_tegra_release, `# R36 (release), REVISION: 4.3, ...`; else ("", "")."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", release)
    if not found:
        return "", ""
    l4t = f"{found[1]}.{found[2]}"
    minor = ".".join(l4t.split(".")[:2])
    return l4t, JETPACKS.get(l4t, JETPACKS.get(minor, ""))
